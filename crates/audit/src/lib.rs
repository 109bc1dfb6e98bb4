//! Which evidence is probably wrong, how much noise there is, and which source errs how.
