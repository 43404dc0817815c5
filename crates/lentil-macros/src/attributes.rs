use quote::ToTokens;
use syn::{Attribute, LitStr, Meta, Result};

use crate::misuse::{Derive, Misuse};

/// Returns the text in `#[name("text")]`, or `None` without this attribute.
pub(crate) fn text(attributes: &[Attribute], name: &str) -> Result<Option<LitStr>> {
    let mut found = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident(name));
    let Some(attribute) = found.next() else {
        return Ok(None);
    };
    if let Some(second) = found.next() {
        return Err(Misuse::Twice { attribute: name }.at(second));
    }
    let text = match &attribute.meta {
        Meta::List(list) => list.parse_args::<LitStr>().ok(),
        _ => None,
    };
    text.map(Some)
        .ok_or_else(|| Misuse::NotText { attribute: name }.at(attribute))
}

/// Returns whether one of the attributes is `#[name]`.
pub(crate) fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident(name))
}

/// Rejects an attribute in a place where it has no meaning.
pub(crate) fn misplaced(attributes: &[Attribute], name: &str, place: &str) -> Result<()> {
    match attributes
        .iter()
        .find(|attribute| attribute.path().is_ident(name))
    {
        Some(attribute) => Err(Misuse::Misplaced {
            attribute: name,
            place,
        }
        .at(attribute)),
        None => Ok(()),
    }
}

/// Rejects type parameters: each instance would need its own table name or wire format.
pub(crate) fn reject_generics(input: &syn::DeriveInput, derive: Derive) -> Result<()> {
    if input.generics.params.is_empty() {
        Ok(())
    } else {
        Err(Misuse::Generics { derive }.at(&input.generics))
    }
}

/// Rejects a name that a table, an index or a document's field cannot have.
pub(crate) fn check_name(what: &str, name: &str, place: impl ToTokens) -> Result<()> {
    check_identifier(what, name, &place)?;
    if name.starts_with('_') {
        Err(Misuse::ReservedName { what, name }.at(place))
    } else {
        Ok(())
    }
}

/// Rejects a name that is not an identifier, in the same way as `lentil_values::check_identifier`.
pub(crate) fn check_identifier(what: &str, name: &str, place: impl ToTokens) -> Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins_well && name.len() <= 64 && name.chars().all(legal) && name.chars().any(|c| c != '_')
    {
        Ok(())
    } else {
        Err(Misuse::Name { what, name }.at(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        let is_name = |name: &str| check_identifier("a field", name, quote::quote!(place)).is_ok();
        for name in ["a", "jobId", "A9", "a_", "_id", &"x".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "_", "9a", "a-b", "a b", "\u{e9}", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn names_of_the_system_are_reserved() {
        assert!(check_name("a table", "_jobs", quote::quote!(place)).is_err());
        assert!(check_name("a table", "jobs", quote::quote!(place)).is_ok());
    }
}
