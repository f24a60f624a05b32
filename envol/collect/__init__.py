"""How people arrive: sign-up forms, hosted or pasted on any site, confirmed from the mailbox before they count."""
