//! No module imports a module above it: inside each folder, the imports between siblings form no cycle.
//!
//! The code of the folder's own module (`mod.rs`, `lib.rs`) counts as one sibling more. A re-export of a child is not
//! an import; a child that names an item of its parent is one, so that it closes a cycle when the parent's code uses
//! the child.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports::{CrateSource, Import, ModulePath};

/// The imports inside one folder, by the siblings that they connect. `None` is the folder's own module.
type Siblings<'i> = BTreeMap<Option<String>, BTreeMap<Option<String>, &'i Import>>;

/// Returns a description of a cycle for each folder of the crate that has one.
pub(super) fn find_cycles(root: &Path, base: &Path) -> Vec<String> {
    let source = CrateSource::read(root);
    let imports = source.imports();
    let mut folders: BTreeMap<ModulePath, Siblings<'_>> = BTreeMap::new();
    for import in &imports {
        let shared = import.from.iter().zip(&import.to);
        let depth = shared.take_while(|(from, to)| from == to).count();
        let folder = import.from[..depth].to_vec();
        let from = import.from.get(depth).cloned();
        let to = import.to.get(depth).cloned();
        let siblings = folders.entry(folder).or_default();
        siblings
            .entry(from)
            .or_default()
            .entry(to)
            .or_insert(import);
    }
    let cycles = folders.values().flat_map(shortest_cycles);
    cycles
        .map(|cycle| describe(&source, &cycle, base))
        .collect()
}

/// The shortest cycle through each sibling that is on one, each cycle once.
fn shortest_cycles<'i>(siblings: &Siblings<'i>) -> Vec<Vec<&'i Import>> {
    let mut seen = BTreeSet::new();
    let cycles = siblings
        .keys()
        .filter_map(|start| cycle_through(siblings, start));
    cycles
        .filter(|cycle| {
            let members: BTreeSet<&ModulePath> = cycle.iter().map(|import| &import.from).collect();
            seen.insert(members)
        })
        .collect()
}

/// Finds the shortest way from a sibling back to itself, breadth first.
fn cycle_through<'i>(siblings: &Siblings<'i>, start: &Option<String>) -> Option<Vec<&'i Import>> {
    let mut ways: BTreeMap<&Option<String>, Vec<&'i Import>> = BTreeMap::new();
    let mut level = vec![(start, Vec::new())];
    while !level.is_empty() {
        let mut next = Vec::new();
        for (sibling, way) in level {
            for (to, import) in siblings.get(sibling).into_iter().flatten() {
                let way = [way.as_slice(), &[*import]].concat();
                if to == start {
                    return Some(way);
                }
                if !ways.contains_key(to) {
                    ways.insert(to, way.clone());
                    next.push((to, way));
                }
            }
        }
        level = next;
    }
    None
}

/// One line for each import of a cycle.
fn describe(source: &CrateSource, cycle: &[&Import], base: &Path) -> String {
    let line = |import: &&Import| {
        let file = &source.modules[&import.from].file;
        let file = file.strip_prefix(base).unwrap_or(file).display();
        let names = |path: &ModulePath| {
            ["crate"]
                .into_iter()
                .chain(path.iter().map(String::as_str))
                .collect::<Vec<_>>()
                .join("::")
        };
        format!(
            "  {file}:{}: {} imports {} (`{}`)",
            import.line,
            names(&import.from),
            names(&import.to),
            import.written
        )
    };
    cycle.iter().map(line).collect::<Vec<_>>().join("\n")
}
