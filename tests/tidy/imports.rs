//! The modules of a crate and the paths by which they import each other, read from the source text.
//!
//! The reader works on tokens. It skips what `#[cfg(test)]` guards, and resolves a path as the compiler does where
//! that matters: through `crate`, `self`, `super`, child modules, and names that a module re-exports.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The path of a module or item from the crate's root; the root itself is empty.
pub(super) type ModulePath = Vec<String>;

/// One crate: its modules by their paths.
pub(super) struct CrateSource {
    pub(super) modules: BTreeMap<ModulePath, Module>,
}

/// The source of one module, without its tests.
#[derive(Default)]
pub(super) struct Module {
    pub(super) file: PathBuf,
    /// The paths that its own code names, as they are written.
    named: Vec<Named>,
    /// Names that `use` binds, and the absolute paths that they stand for.
    bound: BTreeMap<String, ModulePath>,
    /// The subset of `bound` that the module only passes on: `pub use child::Name`.
    passed_on: BTreeSet<String>,
    /// The modules of `pub use module::*`.
    globs: Vec<ModulePath>,
    /// The items that it defines.
    items: BTreeSet<String>,
}

struct Named {
    path: Vec<String>,
    line: usize,
    /// Whether a `use` names it, so that its last part is surely no local variable.
    is_use: bool,
}

/// An import: a module's code names something of another module of the crate.
#[derive(Clone)]
pub(super) struct Import {
    pub(super) from: ModulePath,
    pub(super) to: ModulePath,
    pub(super) line: usize,
    /// The path as it is written.
    pub(super) written: String,
}

impl CrateSource {
    /// Reads a crate from its root file, such as `src/lib.rs`.
    pub(super) fn read(root: &Path) -> CrateSource {
        let mut source = CrateSource {
            modules: BTreeMap::new(),
        };
        let folder = root.parent().expect("a crate's root is in a folder");
        source.read_file(Vec::new(), root, folder);
        source
    }

    /// Reads a module's file; the files of its children are in `folder`.
    fn read_file(&mut self, path: ModulePath, file: &Path, folder: &Path) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let tokens = text
            .parse()
            .unwrap_or_else(|error| panic!("{file:?}: {error}"));
        self.read_module(path, file, folder, tokens);
    }

    fn read_module(&mut self, path: ModulePath, file: &Path, folder: &Path, tokens: TokenStream) {
        let mut module = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        let tokens = without_tests(tokens);
        let mut uses = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let word = word(&tokens, at);
            let name = self::word(&tokens, at + 1);
            match (word.as_deref(), name) {
                (Some("mod"), Some(name)) => {
                    let child = [path.as_slice(), std::slice::from_ref(&name)].concat();
                    let own_folder = folder.join(&name);
                    match &tokens[at + 2] {
                        TokenTree::Group(body) => {
                            self.read_module(child, file, &own_folder, body.stream());
                        }
                        _ => {
                            let flat = folder.join(format!("{name}.rs"));
                            let nested = own_folder.join("mod.rs");
                            let file = if flat.exists() { flat } else { nested };
                            self.read_file(child, &file, &own_folder);
                        }
                    }
                    at += 3;
                }
                (Some("use"), _) => {
                    let end = (at..tokens.len()).find(|end| is_punct(&tokens[*end], ';'));
                    let end = end.expect("a `use` ends with a semicolon");
                    let is_public = is_public(&tokens, at);
                    uses.push((tokens[at + 1..end].to_vec(), is_public));
                    at = end + 1;
                }
                (word, name) => {
                    const KINDS: &[&str] = &[
                        "struct", "enum", "fn", "trait", "type", "const", "static", "union",
                    ];
                    if let (true, Some(name)) =
                        (word.is_some_and(|word| KINDS.contains(&word)), name)
                    {
                        module.items.insert(name);
                    }
                    at += 1;
                }
            }
        }
        self.modules.insert(path.clone(), module);
        for (tree, is_public) in uses {
            self.read_use(&path, &tree, &mut Vec::new(), is_public);
        }
        let module = self.modules.get_mut(&path).expect("it was just inserted");
        read_paths(&tokens, &mut module.named);
    }

    /// Reads the tree of a `use` behind `prefix`.
    fn read_use(
        &mut self,
        module: &ModulePath,
        tree: &[TokenTree],
        prefix: &mut Vec<String>,
        is_public: bool,
    ) {
        let depth = prefix.len();
        let mut name = None;
        let mut line = 0;
        for token in tree {
            match token {
                TokenTree::Ident(ident) if ident == "as" => name = Some(String::new()),
                TokenTree::Ident(ident) => match &mut name {
                    Some(name) => *name = ident.to_string(),
                    None => {
                        prefix.push(ident.to_string());
                        line = ident.span().start().line;
                    }
                },
                TokenTree::Punct(punct) if punct.as_char() == ',' => {
                    self.bind(module, prefix, name.take(), line, is_public);
                    prefix.truncate(depth);
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' => {
                    prefix.push("*".to_owned());
                    line = punct.span().start().line;
                }
                TokenTree::Group(group) => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    self.read_use(module, &inner, prefix, is_public);
                    prefix.truncate(depth);
                }
                _ => {}
            }
        }
        self.bind(module, prefix, name, line, is_public);
        prefix.truncate(depth);
    }

    /// Notes one leaf of a `use`.
    fn bind(
        &mut self,
        module: &ModulePath,
        path: &[String],
        name: Option<String>,
        line: usize,
        is_public: bool,
    ) {
        let Some(last) = path.last().cloned().filter(|_| line > 0) else {
            return;
        };
        let Some(mut absolute) = self.absolute(module, path) else {
            return;
        };
        let is_glob = last == "*";
        if is_glob || last == "self" {
            absolute.pop_if(|part| part == "*" || part == "self");
        }
        let is_child = absolute.starts_with(module) && absolute.len() > module.len();
        let bound = name.or(absolute.last().cloned()).unwrap_or_default();
        let own = self.modules.get_mut(module).expect("it is being read");
        if is_glob {
            if is_public {
                own.globs.push(absolute);
            }
        } else {
            if is_public && is_child {
                own.passed_on.insert(bound.clone());
            }
            own.bound.insert(bound, absolute);
        }
        if !(is_public && is_child) {
            own.named.push(Named {
                path: path.to_vec(),
                line,
                is_use: true,
            });
        }
    }

    /// The absolute path of what `module` names, or nothing if it belongs to another crate.
    fn absolute(&self, module: &ModulePath, path: &[String]) -> Option<ModulePath> {
        let mut absolute = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                absolute.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while let Some(("super", after)) = rest.split_first().map(|(a, b)| (a.as_str(), b))
                {
                    absolute.pop();
                    rest = after;
                }
            }
            first => {
                let child = [module.as_slice(), &[first.to_owned()]].concat();
                if !self.modules.contains_key(&child) {
                    let bound = self.modules.get(module)?.bound.get(first)?;
                    absolute = bound.clone();
                    rest = &path[1..];
                }
            }
        }
        absolute.extend(rest.iter().cloned());
        Some(absolute)
    }

    /// The module in which the thing with this absolute path is defined.
    fn resolve(&self, path: &[String], depth: usize) -> ModulePath {
        let mut module = ModulePath::new();
        for (at, part) in path.iter().enumerate() {
            let child = [module.as_slice(), std::slice::from_ref(part)].concat();
            if self.modules.contains_key(&child) {
                module = child;
                continue;
            }
            let own = &self.modules[&module];
            if depth < 8 && !own.items.contains(part) {
                if let Some(bound) = own.bound.get(part) {
                    let path = [bound.as_slice(), &path[at + 1..]].concat();
                    return self.resolve(&path, depth + 1);
                }
                for glob in &own.globs {
                    let path = [glob.as_slice(), &path[at..]].concat();
                    let found = self.resolve(&path, depth + 1);
                    if self.modules[&found].items.contains(part) {
                        return found;
                    }
                }
            }
            break;
        }
        module
    }

    /// Every import between two different modules.
    pub(super) fn imports(&self) -> Vec<Import> {
        let mut imports = Vec::new();
        for (from, module) in &self.modules {
            for named in &module.named {
                let Some(first) = named.path.first() else {
                    continue;
                };
                let is_keyword = matches!(first.as_str(), "crate" | "self" | "super");
                let is_child = self
                    .modules
                    .contains_key(&[from.as_slice(), std::slice::from_ref(first)].concat());
                let is_plain = !(is_keyword || is_child);
                if !named.is_use && is_plain && !module.passed_on.contains(first) {
                    continue;
                }
                if !named.is_use && !is_plain && named.path.len() < 2 {
                    continue;
                }
                let Some(absolute) = self.absolute(from, &named.path) else {
                    continue;
                };
                let to = self.resolve(&absolute, 0);
                if to != *from {
                    imports.push(Import {
                        from: from.clone(),
                        to,
                        line: named.line,
                        written: named.path.join("::"),
                    });
                }
            }
        }
        imports
    }
}

/// The tokens of a module or a block without the items and statements that only tests have.
fn without_tests(tokens: TokenStream) -> Vec<TokenTree> {
    let mut kept = Vec::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        let is_test = match (&token, tokens.peek()) {
            (TokenTree::Punct(punct), Some(TokenTree::Group(group))) => {
                punct.as_char() == '#' && is_test_attribute(&group.stream().to_string())
            }
            _ => false,
        };
        if !is_test {
            kept.push(token);
            continue;
        }
        // The attribute's own group, then all up to the body or the semicolon.
        tokens.next();
        for token in tokens.by_ref() {
            let is_body =
                matches!(&token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            if is_body || is_punct(&token, ';') {
                break;
            }
        }
    }
    kept
}

fn is_test_attribute(text: &str) -> bool {
    text.starts_with("cfg") && text.contains("test") && !text.contains("not")
}

/// Collects every path of the tokens; a `use` at the module's own level is read elsewhere.
fn read_paths(tokens: &[TokenTree], named: &mut Vec<Named>) {
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => {
                read_paths(&without_tests(group.stream()), named);
                at += 1;
            }
            TokenTree::Ident(ident) if ident == "use" => {
                at = (at..tokens.len())
                    .find(|end| is_punct(&tokens[*end], ';'))
                    .unwrap_or(tokens.len());
            }
            TokenTree::Ident(ident) => {
                let line = ident.span().start().line;
                let continues = at > 0
                    && (is_punct(&tokens[at - 1], ':') && at > 1 && is_punct(&tokens[at - 2], ':')
                        || is_punct(&tokens[at - 1], '.')
                        || is_punct(&tokens[at - 1], '$'));
                let mut path = vec![ident.to_string()];
                at += 1;
                while let Some(next) = part_behind(tokens, at) {
                    path.push(next);
                    at += 3;
                }
                let is_called = matches!(tokens.get(at), Some(TokenTree::Group(_)));
                let is_type = path[0].starts_with(char::is_uppercase);
                if !continues && (path.len() > 1 || is_type || is_called) {
                    let is_use = false;
                    named.push(Named { path, line, is_use });
                }
            }
            _ => at += 1,
        }
    }
}

/// The next part of a path: the identifier behind `::`.
fn part_behind(tokens: &[TokenTree], at: usize) -> Option<String> {
    let colons = is_punct(tokens.get(at)?, ':') && is_punct(tokens.get(at + 1)?, ':');
    word(tokens, at + 2).filter(|_| colons)
}

fn word(tokens: &[TokenTree], at: usize) -> Option<String> {
    match tokens.get(at)? {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// Whether the item at this place has a visibility before it.
fn is_public(tokens: &[TokenTree], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| &tokens[before]);
    match before {
        Some(TokenTree::Ident(ident)) => ident == "pub",
        Some(TokenTree::Group(_)) => at > 1 && word(tokens, at - 2).as_deref() == Some("pub"),
        _ => false,
    }
}
