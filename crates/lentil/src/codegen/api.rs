use std::collections::BTreeMap;

use lentil_runtime::{Function, FunctionKind, Visibility};

use super::types::{object_type, property, type_of};

const HEAD: &str = r#"import type { FunctionReference } from "convex/server";
import type { Id } from "./dataModel.js";
"#;

/// The text of `api.js`, which `api.d.ts` declares.
pub(super) const MODULE: &str = r#"import { anyApi } from "convex/server";

export const api = anyApi;
export const internal = anyApi;
"#;

/// Returns the text of `api.d.ts`.
pub(super) fn declarations(functions: &[Function]) -> String {
    let api = tree_type(functions, Visibility::Public);
    let internal = tree_type(functions, Visibility::Internal);
    // An unused import is an error in some projects.
    let uses_ids = api.contains("Id<\"") || internal.contains("Id<\"");
    let head = if uses_ids {
        HEAD
    } else {
        HEAD.split_inclusive('\n').next().unwrap_or_default()
    };
    format!(
        "{head}\n/** Public functions: every client may call them. */\nexport declare const api: {api};\n\n\
         /** Internal functions: only the server's functions and the administrator may call them. */\n\
         export declare const internal: {internal};\n"
    )
}

/// Returns the type of `api` or `internal`: the functions of this visibility as a tree.
fn tree_type(functions: &[Function], visibility: Visibility) -> String {
    let mut tree = Tree::default();
    for function in functions {
        if function.visibility() == visibility {
            tree.add(function);
        }
    }
    tree.print(1)
}

/// A tree of functions by the parts of their paths.
#[derive(Default)]
struct Tree {
    function: Option<String>,
    below: BTreeMap<String, Tree>,
}

impl Tree {
    fn add(&mut self, function: &Function) {
        let mut node = self;
        for part in function.path().as_str().split(['/', ':']) {
            node = node.below.entry(part.to_owned()).or_default();
        }
        node.function = Some(reference(function));
    }

    /// Returns the type of this node: a function, an object of the nodes below, or both.
    fn print(&self, depth: usize) -> String {
        match &self.function {
            None => self.print_object(depth),
            Some(function) if self.below.is_empty() => function.clone(),
            // A function and a module can have the same name.
            Some(function) => format!("{function} & {}", self.print_object(depth)),
        }
    }

    fn print_object(&self, depth: usize) -> String {
        if self.below.is_empty() {
            return "{}".to_owned();
        }
        let indent = "  ".repeat(depth);
        let mut object = "{\n".to_owned();
        for (name, node) in &self.below {
            let name = property(name);
            let node = node.print(depth + 1);
            object += &format!("{indent}{name}: {node};\n");
        }
        object + &"  ".repeat(depth - 1) + "}"
    }
}

/// Returns the type of a function: its kind, visibility, arguments and result.
fn reference(function: &Function) -> String {
    let kind = match function.kind() {
        FunctionKind::Query => "query",
        FunctionKind::Mutation => "mutation",
        FunctionKind::Action => "action",
    };
    let visibility = if function.visibility() == Visibility::Public {
        "public"
    } else {
        "internal"
    };
    let args = object_type(function.args());
    let returns = type_of(function.returns());
    format!("FunctionReference<\"{kind}\", \"{visibility}\", {args}, {returns}>")
}

#[cfg(test)]
mod tests {
    use lentil_runtime::{Application, Functions, QueryCtx, Result};
    use lentil_schema::Schema;

    use super::*;

    async fn nothing(_ctx: &mut QueryCtx, (): ()) -> Result<Option<String>> {
        Ok(None)
    }

    #[test]
    fn functions_are_nested_by_their_paths() {
        let functions = Functions::in_module("a")
            .query("f", nothing)
            .internal_query("g", nothing);
        let functions = functions.with(Functions::in_module("a/f").query("default", nothing));
        let declared = Application::new(Schema::new())
            .functions(functions)
            .declared_functions()
            .unwrap();
        let text = declarations(&declared);
        let reference = "FunctionReference<\"query\", \"public\", {}, null | string>";
        assert!(
            text.contains(&format!(
                "  a: {{\n    f: {reference} & {{\n      default: {reference};\n    }};\n  }};\n}};"
            )),
            "{text}"
        );
        assert!(
            text.contains(
                "export declare const internal: {\n  a: {\n    g: FunctionReference<\"query\", \"internal\","
            )
        );
        assert!(
            !text.contains("dataModel"),
            "`Id` is imported only if it is used"
        );
    }
}
