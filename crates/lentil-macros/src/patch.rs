use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DeriveInput, Ident, Result};

use crate::fields::{self, Field};
use crate::misuse::Misuse;

/// Returns the name of the patch builder, `JobPatch`.
pub(crate) fn name(input: &DeriveInput) -> Ident {
    format_ident!("{}Patch", input.ident)
}

pub(crate) fn expand(input: &DeriveInput, fields: &[Field<'_>]) -> Result<TokenStream> {
    check(fields)?;
    let document = &input.ident;
    let visibility = &input.vis;
    let patch = name(input);
    let doc =
        format!("A change of some fields of a [`{document}`]. The other fields keep their values.");
    let setters = fields.iter().map(setters);
    Ok(quote! {
        #[doc = #doc]
        #[derive(Clone, Debug)]
        #[must_use = "a patch changes nothing until it is passed to `ctx.db.patch`"]
        #visibility struct #patch(::lentil::__derive::Patch<#document>);

        #[allow(dead_code, reason = "an application does not patch every field")]
        impl #patch {
            #(#setters)*
        }

        impl ::core::convert::From<#patch> for ::lentil::__derive::Patch<#document> {
            fn from(patch: #patch) -> Self {
                patch.0
            }
        }
    })
}

/// Returns the names of the methods that set a field, set it if there is a value, and remove it.
fn setter_names(field: &Field<'_>) -> [Ident; 3] {
    let ident = field.ident;
    [
        ident.clone(),
        format_ident!("{}_if_some", ident),
        format_ident!("clear_{}", ident),
    ]
}

/// Rejects fields whose methods have the same name.
fn check(fields: &[Field<'_>]) -> Result<()> {
    let mut seen = HashMap::new();
    for field in fields {
        // A required field has no `clear_…` method, so this name stays free.
        let taken = if field.option().is_some() { 3 } else { 2 };
        for setter in setter_names(field).into_iter().take(taken) {
            if let Some(other) = seen.insert(setter.clone(), field.ident) {
                let fields = [other.to_string(), field.ident.to_string()];
                return Err(Misuse::SameSetter {
                    setter: &setter.to_string(),
                    fields,
                }
                .at(field.ident));
            }
        }
    }
    Ok(())
}

fn setters(field: &Field<'_>) -> TokenStream {
    let name = &field.name;
    // The setter of an optional field takes the inner type; `clear_…` removes the field.
    let ty = field.option().unwrap_or(field.ty);
    let value_type = fields::qualified(ty, &quote!(FieldType));
    let [set, if_some, clear] = setter_names(field);
    let set_doc = format!("Sets `{name}`.");
    let if_some_doc = format!("Sets `{name}` if there is a value.");
    let clear_doc = format!("Removes `{name}` from the document.");
    let name = quote!(const { ::lentil::__derive::FieldName::from_static(#name) });
    let clear = field.option().map(|_| {
        quote! {
            #[doc = #clear_doc]
            pub fn #clear(self) -> Self {
                Self(self.0.set(#name, ::core::option::Option::None))
            }
        }
    });
    quote! {
        #[doc = #set_doc]
        pub fn #set(self, value: impl ::core::convert::Into<#ty>) -> Self {
            Self(self.0.set(#name, #value_type::into_field(value.into())))
        }

        #[doc = #if_some_doc]
        pub fn #if_some(self, value: ::core::option::Option<#ty>) -> Self {
            match value {
                ::core::option::Option::Some(value) => self.#set(value),
                ::core::option::Option::None => self,
            }
        }

        #clear
    }
}
