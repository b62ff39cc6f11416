// What scrolls in its box can be scrolled with the keyboard.
document$.subscribe(() =>
  requestAnimationFrame(() => {
    for (const each of document.querySelectorAll(".md-typeset__scrollwrap, .tabbed-labels, .md-typeset pre > code")) {
      if (each.scrollWidth > each.clientWidth) each.tabIndex = 0
    }
  }),
)
