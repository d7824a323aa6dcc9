//! The texts that a text parameter may hold, and the template of the process title.

use super::parameters::Config;

/// Anything goes.
pub(super) fn any(_: &[u8], _: &Config) -> Result<(), &'static str> {
    Ok(())
}

/// A name inside the data folder, not a way out of it.
fn is_base_name(value: &[u8]) -> bool {
    !value.iter().any(|byte| matches!(byte, b'/' | b'\\'))
}

/// `dbfilename`.
pub(super) fn db_filename(value: &[u8], _: &Config) -> Result<(), &'static str> {
    if is_base_name(value) { Ok(()) } else { Err("dbfilename can't be a path, just a filename") }
}

/// `appendfilename`.
pub(super) fn append_filename(value: &[u8], _: &Config) -> Result<(), &'static str> {
    match value {
        [] => Err("appendfilename can't be empty"),
        _ if is_base_name(value) => Ok(()),
        _ => Err("appendfilename can't be a path, just a filename"),
    }
}

/// `appenddirname`.
pub(super) fn append_dirname(value: &[u8], _: &Config) -> Result<(), &'static str> {
    match value {
        [] => Err("appenddirname can't be empty"),
        _ if is_base_name(value) => Ok(()),
        _ => Err("appenddirname can't be a path, just a dirname"),
    }
}

/// As long as a DNS name may be.
const MAX_HOSTNAME_LEN: usize = 255;

/// `cluster-announce-hostname`.
pub(super) fn hostname(value: &[u8], _: &Config) -> Result<(), &'static str> {
    if value.len() > MAX_HOSTNAME_LEN {
        return Err("Hostnames must be less than 256 characters");
    }
    match value.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
        true => Ok(()),
        false => Err("Hostnames may only contain alphanumeric characters, hyphens or dots"),
    }
}

/// `proc-title-template`: known variables, and something left of it when the changing ones are
/// empty.
pub(super) fn title_template(value: &[u8], config: &Config) -> Result<(), &'static str> {
    let sample = |name: &str| -> Option<Vec<u8>> {
        Some(match name {
            "title" | "config-file" => Vec::new(),
            "listen-addr" => b"*:0".to_vec(),
            "server-mode" => if config.cluster_enabled { " [cluster]" } else { "" }.into(),
            "port" => config.port.to_string().into_bytes(),
            "tls-port" => config.tls_port.to_string().into_bytes(),
            "unixsocket" => config.unixsocket.as_bytes().to_vec(),
            _ => return None,
        })
    };
    match expand_title(value, sample) {
        Some(title) if !title.is_empty() => Ok(()),
        _ => Err("template format is invalid or contains unknown variables"),
    }
}

/// Puts values in place of `{name}` in a template; `{{` is a brace. `None` when a name is unknown
/// or a brace stays open. Spaces around the result are cut off.
pub fn expand_title(template: &[u8], value_of: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut title = Vec::new();
    let mut rest = template;
    while let Some(open) = rest.iter().position(|byte| *byte == b'{') {
        title.extend_from_slice(&rest[..open]);
        rest = &rest[open + 1..];
        if let Some(tail) = rest.strip_prefix(b"{") {
            title.push(b'{');
            rest = tail;
            continue;
        }
        let close = rest.iter().position(|byte| *byte == b'}')?;
        title.extend(value_of(std::str::from_utf8(&rest[..close]).ok()?)?);
        rest = &rest[close + 1..];
    }
    title.extend_from_slice(rest);
    let spaces = |byte: &&u8| **byte == b' ';
    let (front, back) =
        (title.iter().take_while(spaces).count(), title.iter().rev().take_while(spaces).count());
    Some(title.get(front..title.len() - back).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_expand_and_reject_as_redis_does() {
        let config = Config::default();
        let rows = [
            ("", false),
            ("abc", true),
            ("{title}", false),
            ("{title} {server-mode}", false),
            ("{foo}", false),
            ("{", false),
            ("{title", false),
            ("}", true),
            ("{}", false),
            ("{ title}", false),
            ("{title}}", true),
            ("{TITLE}", false),
            ("a{title}b", true),
            ("{{title}}", true),
            ("{title} {listen-addr} {server-mode} {port} {tls-port} {unixsocket} {config-file}", true),
        ];
        for (template, fine) in rows {
            assert_eq!(title_template(template.as_bytes(), &config).is_ok(), fine, "{template}");
        }
        let values = |name: &str| (name == "title").then(|| b"x".to_vec());
        assert_eq!(expand_title(b" {title} {{ ", values), Some(b"x {".to_vec()));
        assert_eq!(expand_title(b"   ", values), Some(Vec::new()));
    }
}
