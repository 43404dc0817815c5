//! The types of nested fields, so that an index such as `#[index(by_kind(data.kind))]` is typed.
//!
//! The derive of the document does not see the fields of `data`. The derive of the type of `data`
//! therefore implements `NestedField<Name>` for each field. `Name` is the field's name as a type, a
//! tuple of letters: the name `kind` is `(Letter<'k'>, Letter<'i'>, Letter<'n'>, Letter<'d'>)`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Ident;
use syn::ext::IdentExt;

use crate::fields::Field;

/// Returns a field's name as a type.
pub(crate) fn name_type(name: &str) -> TokenStream {
    let letters = name.chars();
    quote!((#(::lentil::__derive::Letter<#letters>,)*))
}

/// Returns one implementation for each field of a struct.
pub(crate) fn of_struct(owner: &Ident, fields: &[Field<'_>]) -> TokenStream {
    let implementations = fields.iter().map(|field| {
        let ty = field.ty;
        implementation(
            owner,
            &field.ident.unraw().to_string(),
            &field.name,
            &quote!(#ty),
        )
    });
    quote!(#(#implementations)*)
}

/// Returns the implementation for the tag of an enum.
pub(crate) fn of_tag(owner: &Ident, tag: &str, ty: &TokenStream) -> TokenStream {
    implementation(owner, tag, tag, ty)
}

fn implementation(owner: &Ident, rust_name: &str, name: &str, ty: &TokenStream) -> TokenStream {
    let rust_name = name_type(rust_name);
    quote! {
        #[diagnostic::do_not_recommend]
        impl ::lentil::__derive::NestedField<#rust_name> for #owner {
            type Type = #ty;
            const NAME: &'static str = #name;
        }
    }
}
