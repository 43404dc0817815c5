//! Names the fields of value types for the compiler, so that an index over a nested field is typed too.
//!
//! In `#[index(by_kind(data.kind))]` the derive of the document does not see the fields of `data`. The derive of its
//! type therefore writes `impl NestedField<name> for Data` for each field, where a name is a tuple of letters:
//! `(Letter<'k'>, Letter<'i'>, Letter<'n'>, Letter<'d'>)`.

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
