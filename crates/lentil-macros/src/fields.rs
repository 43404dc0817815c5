use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Fields, Ident, Result, Type};

use crate::attributes;
use crate::names::{camel_case, refuse_name};

/// A field of a derived struct.
pub(crate) struct Field<'i> {
    pub(crate) ident: &'i Ident,
    pub(crate) ty: &'i Type,
    /// Its name outside Rust.
    pub(crate) name: String,
}

impl<'i> Field<'i> {
    /// The type inside the `Option`, for a field that may be missing.
    pub(crate) fn option(&self) -> Option<&'i Type> {
        let Type::Path(path) = self.ty else { return None };
        let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
        let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        match arguments.args.first()? {
            syn::GenericArgument::Type(inner) => Some(inner),
            _ => None,
        }
    }
}

/// The named fields of a struct or of a variant.
pub(crate) fn named<'i>(fields: &'i Fields, owner: &impl Spanned, derive: &str) -> Result<Vec<Field<'i>>> {
    let Fields::Named(named) = fields else {
        let message = format!("derive({derive}) needs named fields: `struct Job {{ job_id: String }}`");
        return Err(syn::Error::new(owner.span(), message));
    };
    let mut seen = HashMap::new();
    named.named.iter().map(|field| read(field, &mut seen)).collect()
}

fn read<'i>(field: &'i syn::Field, seen: &mut HashMap<String, &'i Ident>) -> Result<Field<'i>> {
    let ident = field.ident.as_ref().expect("a named field has a name");
    let renamed = attributes::text(&field.attrs, "rename")?;
    let (name, span) = match &renamed {
        Some(text) => (text.value(), text.span()),
        None => (camel_case(&ident.to_string()), ident.span()),
    };
    if let Some(refusal) = refuse_name("field", &name) {
        return Err(syn::Error::new(span, refusal));
    }
    if let Some(other) = seen.insert(name.clone(), ident) {
        return Err(syn::Error::new(span, format!("`{ident}` and `{other}` would both be the field `{name}`")));
    }
    Ok(Field { ident, ty: &field.ty, name })
}

/// `(name, validator)` of every field.
pub(crate) fn validators(fields: &[Field<'_>]) -> TokenStream {
    let entries = fields.iter().map(|Field { ty, name, .. }| {
        quote!((#name, <#ty as ::lentil::__derive::FieldType>::field_validator()))
    });
    quote!([#(#entries),*] as [(&'static str, ::lentil::__derive::FieldValidator); _])
}

/// Statements that put every field, a variable or a field of `self`, into the list `fields`.
pub(crate) fn puts(fields: &[Field<'_>], receiver: &TokenStream) -> TokenStream {
    let puts = fields.iter().map(|Field { ident, name, .. }| {
        quote!(::lentil::__derive::put(&mut fields, #name, #receiver #ident);)
    });
    quote!(#(#puts)*)
}

/// `field: taken out of object` of every field.
pub(crate) fn takes(fields: &[Field<'_>]) -> TokenStream {
    let takes = fields.iter().map(|Field { ident, name, .. }| {
        quote!(#ident: ::lentil::__derive::take(&mut object, #name)?)
    });
    quote!(#(#takes),*)
}
