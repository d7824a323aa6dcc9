//! The version that the server names when it is asked.

/// The version of Redis whose behaviour this is.
pub const REDIS_VERSION: &str = "7.0.15";
/// Our own version.
pub const PYREDIS_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The log target of a station in the server's life, which Redis logs at its highest level though
/// nothing is wrong.
pub const STATION: &str = "station";
