use syn::spanned::Spanned;
use syn::{Attribute, LitStr, Meta, Result};

/// The text in `#[name("text")]`, if the attribute is there.
pub(crate) fn text(attributes: &[Attribute], name: &str) -> Result<Option<LitStr>> {
    let mut found = attributes.iter().filter(|attribute| attribute.path().is_ident(name));
    let Some(attribute) = found.next() else { return Ok(None) };
    if let Some(second) = found.next() {
        return Err(syn::Error::new(second.span(), format!("#[{name}(…)] stands twice")));
    }
    let text = match &attribute.meta {
        Meta::List(list) => list.parse_args::<LitStr>().ok(),
        _ => None,
    };
    let usage = || syn::Error::new(attribute.span(), format!("write #[{name}(\"…\")]"));
    text.map(Some).ok_or_else(usage)
}

/// Refuses type parameters, which no table and no wire format could tell apart.
pub(crate) fn refuse_generics(input: &syn::DeriveInput, derive: &str) -> Result<()> {
    if input.generics.params.is_empty() {
        return Ok(());
    }
    let message = format!("derive({derive}) takes no generic types: write one type for each use");
    Err(syn::Error::new(input.generics.span(), message))
}
