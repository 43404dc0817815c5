use syn::{Attribute, LitStr, Meta, Result};

use crate::misuse::Misuse;

/// The text in `#[name("text")]`, if the attribute is there.
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

/// Returns whether `#[name]` is there.
pub(crate) fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident(name))
}

/// Refuses an attribute of ours where it would mean nothing, and says where it goes.
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

/// Refuses type parameters, which no table and no wire format could tell apart.
pub(crate) fn refuse_generics(input: &syn::DeriveInput, derive: &str) -> Result<()> {
    if input.generics.params.is_empty() {
        Ok(())
    } else {
        Err(Misuse::Generics { derive }.at(&input.generics))
    }
}
