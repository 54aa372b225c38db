//! Scenarios of whole clouds: the real store, API and controllers over a simulated machine and
//! data plane, on a clock that moves from due time to due time.

mod alarm;
mod certificate;
mod cloud;
mod command;
mod credit;
mod hook;
mod image;
mod instance;
mod instance_connect;
mod launch_configuration;
mod log;
mod metric;
mod mixed;
mod network;
mod notification;
mod plane;
mod random;
mod refresh;
mod replacement;
mod restart;
mod scaling;
mod schedule;
mod size;
mod spot;
mod stack;
mod standby;
mod timeline;
mod warm_pool;
mod zone;
