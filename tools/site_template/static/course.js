// From a folder, without a server, a browser lets no script read the page of a search result to quote from it.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
