//! How large files, structs and functions may be.

use crate::{Source, indent, report, sources};

/// Lines of a file at most.
const FILE_LINES: usize = 600;
/// Files that are longer. The list only shrinks.
const LONG_FILES: &[&str] = &[];

/// Fields of a struct at most. What is read from the configuration and what is counted is a flat
/// list by nature.
const STRUCT_FIELDS: usize = 20;
/// Structs that have more. The list only shrinks.
const WIDE_STRUCTS: &[&str] = &[];
/// Where fields are parameters or counts.
const FLAT: &[&str] = &["src/config/", "src/stats/counters.rs"];

/// Lines of nine functions in ten at most, from `fn` to the last brace.
const P90_FUNCTION_LINES: usize = 20;
/// Lines of 99 functions in a hundred at most.
const P99_FUNCTION_LINES: usize = 40;

/// Fails for what is over a limit and not excepted, and for exceptions that nothing needs.
fn report_exceptions(rule: &str, over: &[(String, String)], exceptions: &[&str]) {
    let mut broken: Vec<_> = over
        .iter()
        .filter(|(name, _)| !exceptions.contains(&name.as_str()))
        .map(|(_, what)| what.clone())
        .collect();
    let needed = |exception: &&&str| over.iter().any(|(name, _)| name == **exception);
    let stale = exceptions.iter().filter(|exception| !needed(exception));
    broken.extend(stale.map(|name| format!("{name} is within the limit: take it off the list")));
    report(rule, &broken);
}

#[test]
fn no_file_is_too_long() {
    let files = sources("src").into_iter().chain(sources("tests"));
    let over: Vec<_> = files
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, _)| *lines > FILE_LINES)
        .map(|(lines, path)| (path.clone(), format!("{path}: {lines} lines, at most {FILE_LINES}")))
        .collect();
    report_exceptions("split these by meaning, one theme to a file", &over, LONG_FILES);
}

/// The structs of a file with how many fields each has.
fn structs(source: &Source) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    let mut inside = None;
    for line in source.product() {
        let code = line.trim_start();
        let mut words = code.split_whitespace().skip_while(|word| word.starts_with("pub"));
        if words.next() == Some("struct") && line.ends_with('{') {
            let name = words.next().unwrap_or_default();
            let name = name.split(['<', '{']).next().unwrap_or_default();
            found.push((name.to_string(), 0));
            inside = Some(indent(line));
        } else if inside.is_some_and(|outer| indent(line) == outer && code == "}") {
            inside = None;
        } else if let (Some(outer), Some((_, fields))) = (inside, found.last_mut()) {
            let is_field = indent(line) == outer + 4 && !code.starts_with(['/', '#']) && code.contains(": ");
            *fields += usize::from(is_field);
        }
    }
    found
}

#[test]
fn no_struct_has_too_many_fields() {
    let mut over = Vec::new();
    let mut seen = 0;
    for source in sources("src") {
        if FLAT.iter().any(|flat| source.path.starts_with(flat)) {
            continue;
        }
        for (name, fields) in structs(&source) {
            seen += 1;
            if fields > STRUCT_FIELDS {
                let what = format!("{}: {name} has {fields} fields, at most {STRUCT_FIELDS}", source.path);
                over.push((name, what));
            }
        }
    }
    assert!(seen > 100, "{seen} structs");
    report_exceptions("give what belongs together in these a struct of its own", &over, WIDE_STRUCTS);
}

/// Lines of each function of a file, and where it begins.
fn function_lengths(source: &Source) -> Vec<(usize, String)> {
    /// What may stand before `fn`.
    const BEFORE: &[&str] = &["pub", "pub(crate)", "pub(super)", "const", "unsafe", "extern", "\"C\""];
    let mut open: Vec<(usize, usize, String)> = Vec::new();
    let mut lengths = Vec::new();
    for (index, line) in source.product().into_iter().enumerate() {
        let code = line.trim_start();
        let mut words = code.split(' ').skip_while(|word| BEFORE.contains(word) || word.starts_with("pub("));
        let begins = words.next() == Some("fn");
        if begins {
            let name = words.next().unwrap_or_default().split(['(', '<']).next().unwrap_or_default();
            open.push((indent(line), index, format!("{} {name}", source.path)));
        }
        let Some((outer, first, _)) = open.last() else { continue };
        let is_declaration = indent(line) == *outer && code.ends_with(';') && !code.contains('{');
        let is_end = indent(line) == *outer && code.ends_with('}') && (begins || code == "}");
        if is_end {
            lengths.push((index + 1 - first, open.pop().map(|(_, _, name)| name).unwrap_or_default()));
        } else if is_declaration {
            open.pop();
        }
    }
    lengths
}

#[test]
fn functions_are_short() {
    let mut lengths: Vec<_> = sources("src").iter().flat_map(function_lengths).collect();
    assert!(lengths.len() > 1000, "{} functions", lengths.len());
    lengths.sort_unstable();
    let at = |percent: usize| lengths[(lengths.len() - 1) * percent / 100].0;
    let (median, p90, p99) = (at(50), at(90), at(99));
    println!("{} functions: lines median {median}, p90 {p90}, p99 {p99}", lengths.len());
    let longest: Vec<_> =
        lengths.iter().rev().take(10).map(|(lines, name)| format!("{lines} {name}")).collect();
    println!("the longest:\n{}", longest.join("\n"));
    let broken = if p90 > P90_FUNCTION_LINES || p99 > P99_FUNCTION_LINES { longest } else { Vec::new() };
    report(
        &format!(
            "functions grew to p90 {p90} (at most {P90_FUNCTION_LINES}) and p99 {p99} (at most \
             {P99_FUNCTION_LINES}) lines; divide some, the longest are"
        ),
        &broken,
    );
}
