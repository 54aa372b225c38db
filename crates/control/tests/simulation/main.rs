//! Scenarios of whole clouds: the real store, API and controllers over a simulated machine and
//! data plane, on a clock that moves from due time to due time.

mod cloud;
mod plane;
mod replacement;
mod stack;
mod timeline;
