// A link with a token has it behind `#`, which no browser sends and no log shows. It goes into the form, once.
"use strict";

const signIn = document.getElementById("sign-in");

function takeToken() {
  if (!signIn || !location.hash.startsWith("#fh_")) return;
  document.getElementById("token").value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  signIn.requestSubmit();
}

addEventListener("hashchange", takeToken);
takeToken();
