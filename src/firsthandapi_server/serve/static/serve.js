// A link with a secret has it behind `#`, which no browser sends and no log shows. It goes into the form, once.
"use strict";

function takeSecret() {
  const signIn = document.getElementById("sign-in");
  const back = document.getElementById("back");
  const secret = location.hash.slice(1);
  if (!(signIn && secret.startsWith("fh_")) && !(back && /^[a-z]+(-[a-z]+){5}$/.test(secret))) return;
  history.replaceState(null, "", location.pathname + location.search);
  if (signIn) {
    document.getElementById("token").value = secret;
    signIn.requestSubmit();
  } else {
    // Not sent by itself: whoever follows a link of somebody else's must not become that person unawares.
    document.getElementById("words").value = secret.replaceAll("-", " ");
    back.querySelector("button").focus();
  }
}

addEventListener("hashchange", takeSecret);
takeSecret();
