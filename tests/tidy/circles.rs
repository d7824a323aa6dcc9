//! How many files of a room import each other in a circle: they can only be understood together.
//!
//! Files are the nodes of a graph. An edge is what a file names of another file of its room: `use`,
//! a re-export, or a path in the code (`super::x::Type`, `x::function` of a child). Declaring
//! `mod x;` is no edge, and a name that a file re-exports leads to the file that defines it.

use crate::{Source, report, rooms, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Files in a circle at most.
const CIRCLE_FILES: usize = 6;
/// Re-exports followed from one file to the next.
const MAX_REEXPORTS: usize = 8;

/// A module of a room, as the names that lead to it; empty for the room itself.
type Module = Vec<String>;
/// A path as it is written, from its first name on.
type Names = Vec<String>;

/// What the graph needs to know of a file.
#[derive(Default)]
struct File {
    /// Paths it names.
    paths: Vec<Names>,
    /// Names it re-exports, and where from.
    reexports: BTreeMap<String, Names>,
}

/// The files of a room.
struct Room {
    name: String,
    files: BTreeMap<Module, File>,
}

impl Room {
    fn read(name: &str, sources: &[Source]) -> Room {
        let of_room = sources.iter().filter(|source| source.room() == Some(name));
        let product = of_room.filter(|source| !source.path.ends_with("tests.rs"));
        let files = product.map(|source| (module_of(&source.path), File::read(source))).collect();
        Room { name: name.to_string(), files }
    }

    /// The module of this room that `path`, written in `from`, leads to.
    fn resolve(&self, from: &Module, path: &[String], reexports_left: usize) -> Option<Module> {
        let (first, mut rest) = path.split_first()?;
        let mut module = from.clone();
        match first.as_str() {
            "crate" if rest.first() == Some(&self.name) => (module, rest) = (Module::new(), &rest[1..]),
            "super" => {
                module.pop()?;
                while rest.first().is_some_and(|name| name == "super") {
                    module.pop()?;
                    rest = &rest[1..];
                }
            }
            "self" => {}
            // Names in scope: of children, and of other paths' ends, which count where they begin.
            _ if self.child(from, first).is_some() => rest = path,
            _ => return None,
        }
        while let Some((name, behind)) = rest.split_first() {
            let Some(child) = self.child(&module, name) else { break };
            (module, rest) = (child, behind);
        }
        let reexport = rest.first().and_then(|name| self.files.get(&module)?.reexports.get(name));
        let defined = reexport.filter(|_| reexports_left > 0);
        defined.and_then(|path| self.resolve(&module, path, reexports_left - 1)).or(Some(module))
    }

    fn child(&self, module: &Module, name: &str) -> Option<Module> {
        let mut child = module.clone();
        child.push(name.to_string());
        self.files.contains_key(&child).then_some(child)
    }

    /// Which files each file needs, by their places in the map.
    fn edges(&self) -> Vec<BTreeSet<usize>> {
        let places: BTreeMap<_, _> = self.files.keys().zip(0..).collect();
        let edges = self.files.iter().map(|(module, file)| {
            let needed = file.paths.iter().filter_map(|path| self.resolve(module, path, MAX_REEXPORTS));
            needed.filter(|other| other != module).filter_map(|other| places.get(&other).copied()).collect()
        });
        edges.collect()
    }

    /// The files of its largest circle, each as a line with those of the circle that it imports.
    fn largest_circle(&self) -> Vec<String> {
        let edges = self.edges();
        let mut largest = circles(&edges).into_iter().max_by_key(Vec::len).unwrap_or_default();
        largest.sort_unstable();
        let names: Vec<_> = self.files.keys().map(|module| module.join("/")).collect();
        let line = |&file: &usize| {
            let imports = edges[file].iter().filter(|other| largest.contains(other));
            let imports: Vec<_> = imports.map(|&other| names[other].as_str()).collect();
            format!("{} -> {}", names[file], imports.join(", "))
        };
        largest.iter().map(line).collect()
    }
}

impl File {
    fn read(source: &Source) -> File {
        let product = source.product();
        let lines = product.into_iter().filter(|line| !line.trim_start().starts_with("//"));
        let (mut file, mut code, mut statement) = (File::default(), String::new(), String::new());
        for line in lines {
            if statement.is_empty() && !is_use(line) {
                code.push_str(&without_visibility(line));
                code.push('\n');
                continue;
            }
            statement.push_str(line.trim());
            if !line.ends_with(';') {
                continue;
            }
            let (visibility, tree) = statement.trim_end_matches(';').split_once("use ").unwrap_or_default();
            let paths = expand(tree);
            if !visibility.is_empty() {
                let named = paths.iter().filter_map(|path| Some((path.last()?.clone(), path.clone())));
                file.reexports.extend(named);
            }
            file.paths.extend(paths);
            statement.clear();
        }
        file.paths.extend(paths_in(&code));
        file
    }
}

/// Whether a line begins a `use`, whoever may see it.
fn is_use(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| word.starts_with("pub"));
    words.next() == Some("use")
}

/// A line without the path of a `pub(in path)`, which says who may look and imports nothing.
fn without_visibility(line: &str) -> String {
    let Some((before, scope)) = line.split_once("pub(in ") else { return line.to_string() };
    let behind = scope.split_once(')').map_or("", |(_, behind)| behind);
    format!("{before}pub{behind}")
}

/// `src/room/a/b.rs` and `src/room/a/b/mod.rs` are `a::b`.
fn module_of(path: &str) -> Module {
    let names = path.trim_end_matches(".rs").split('/').skip(2).map(str::to_string);
    let mut module: Module = names.collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

/// The paths of a `use` tree: `a::{b, c::{d, e as f}}` are `a::b`, `a::c::d`, `a::c::e`.
fn expand(tree: &str) -> Vec<Names> {
    let Some((before, group)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split("::").map(|name| name.trim().to_string()).collect()];
    };
    let group = group.rsplit_once('}').map_or(group, |(group, _)| group);
    let before: Names =
        before.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_string).collect();
    let mut depth = 0;
    let branches = group.split(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    let branches = branches.filter(|branch| !branch.trim().is_empty());
    branches.flat_map(expand).map(|path| [before.clone(), path].concat()).collect()
}

/// All `a::b` in code.
fn paths_in(code: &str) -> impl Iterator<Item = Names> {
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':');
    let paths = words.filter(|word| word.contains("::") && !word.starts_with(':'));
    paths.map(|path| path.split("::").map(str::to_string).collect())
}

/// The strongly connected components of a graph, after Tarjan: each is found when the walk leaves
/// the first of its nodes that it met.
fn circles(edges: &[BTreeSet<usize>]) -> Vec<Vec<usize>> {
    let mut walk = Tarjan { edges, met: vec![None; edges.len()], ..Tarjan::default() };
    for node in 0..edges.len() {
        if walk.met[node].is_none() {
            walk.visit(node);
        }
    }
    walk.found
}

#[derive(Default)]
struct Tarjan<'a> {
    edges: &'a [BTreeSet<usize>],
    /// When each node was met.
    met: Vec<Option<usize>>,
    count: usize,
    /// Nodes met that are of no component yet.
    open: Vec<usize>,
    found: Vec<Vec<usize>>,
}

impl Tarjan<'_> {
    /// Returns the earliest open node that can be reached from `node`, by when it was met.
    fn visit(&mut self, node: usize) -> usize {
        let own = self.count;
        self.count += 1;
        self.met[node] = Some(own);
        self.open.push(node);
        let mut earliest = own;
        for &next in &self.edges[node] {
            let reached = match self.met[next] {
                None => self.visit(next),
                Some(met) if self.open.contains(&next) => met,
                Some(_) => own,
            };
            earliest = earliest.min(reached);
        }
        if earliest == own {
            let first = self.open.iter().position(|&open| open == node).expect("it is open");
            self.found.push(self.open.split_off(first));
        }
        earliest
    }
}

#[test]
fn circles_are_found() {
    let edges = [vec![1], vec![2], vec![0, 3], vec![4], vec![3], vec![0]];
    let mut found = circles(&edges.map(|to| to.into_iter().collect::<BTreeSet<_>>()));
    found.iter_mut().for_each(|circle| circle.sort_unstable());
    found.sort_unstable();
    assert_eq!(found, [vec![0, 1, 2], vec![3, 4], vec![5]]);
}

#[test]
fn imports_lead_to_the_file_that_defines_the_name() {
    let source = |path: &str, text: &str| Source { path: path.to_string(), text: text.to_string() };
    let sources = [
        source("src/room/mod.rs", "mod a;\nmod b;\npub use b::{c::Thing,\n    B};\n"),
        source(
            "src/room/a.rs",
            "//! super::b\nuse super::Thing;\n#[cfg(test)]\nmod tests {\n    use super::super::B;\n}\n",
        ),
        source("src/room/b.rs", "mod c;\nstruct B(c::Thing, crate::other::a::X);\n"),
        source("src/room/b/c.rs", "use crate::room::a::{self, X as Y};\npub(in crate::room) struct Thing;\n"),
        source("src/room/b/tests.rs", "use super::super::a;\n"),
    ];
    let room = Room::read("room", &sources);
    assert_eq!(room.files.keys().map(|module| module.join("/")).collect::<Vec<_>>(), ["", "a", "b", "b/c"]);
    let expected = [vec![2, 3], vec![3], vec![3], vec![1]].map(|to| to.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(room.edges(), expected);
    assert_eq!(room.largest_circle(), ["a -> b/c", "b/c -> a"]);
}

#[test]
fn no_circle_is_too_large() {
    let sources = sources("src");
    let mut broken = Vec::new();
    for name in rooms() {
        let room = Room::read(&name, &sources);
        let circle = room.largest_circle();
        println!("{name:<10} {:>3} files, largest circle {:>3}", room.files.len(), circle.len());
        if circle.len() > CIRCLE_FILES {
            let lines = circle.join("\n  ");
            broken.push(format!("{name}: {} files, at most {CIRCLE_FILES}:\n  {lines}", circle.len()));
        }
    }
    report("in these an import must be turned round, or what both ends need moved below both", &broken);
}
