//! Nothing here but the tests.
