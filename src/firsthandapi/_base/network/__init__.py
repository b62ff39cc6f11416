"""Connections to hosts, for API calls and downloads.

- `names`: the addresses of a name.
- `addresses`: a connection to one of a host's addresses.
- `proxies`: which proxy leads to a host, and the request to it.
- `handshakes`: CONNECT and SOCKS 5, without I/O.
- `certificates`: the trusted certificates.
- `failures`: the meaning of network errors.
- `lending`: certificates and proxy of the caller's httpx client, for downloads.
- `tls`: TLS over a connection, even over one that already speaks TLS.

No module here knows httpx, h11, or an event loop. `datasets._download` connects with these alone; the async half of the
client takes its TCP connections and its TLS from anyio, and shares the rest.
"""
