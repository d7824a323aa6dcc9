//! Lines of a configuration file that are no parameters and are kept as they stand.

use super::text::Text;

/// A `user` line of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// The user's name.
    pub name: Text,
    /// Its rules, as ACL SETUSER takes them.
    pub rules: Vec<Text>,
}

/// A `rename-command` line of the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameCommand {
    /// The name that goes.
    pub from: Text,
    /// The name that comes; empty to disable the command.
    pub to: Text,
}
