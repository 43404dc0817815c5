use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DeriveInput, Result};

use crate::args::object_conversions;
use crate::attributes::{self, refuse_generics};
use crate::fields::{self, Field};
use crate::names::refuse_name;
use crate::index;

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    refuse_generics(input, "Document")?;
    let Data::Struct(data) = &input.data else {
        let message = "derive(Document) goes on a struct: one field for each field of the table's documents";
        return Err(syn::Error::new_spanned(input, message));
    };
    let Some(table) = attributes::text(&input.attrs, "table")? else {
        let message = "which table's documents are these? Add #[table(\"…\")] below the derive";
        return Err(syn::Error::new_spanned(&input.ident, message));
    };
    if let Some(refusal) = refuse_name("table", &table.value()) {
        return Err(syn::Error::new(table.span(), refusal));
    }
    let fields = fields::named(&data.fields, input, "Document")?;
    let indexes = index::read(&input.attrs, &fields)?;
    let name = &input.ident;
    let patch_name = format_ident!("{name}Patch");
    let declarations = index::declarations(&indexes, &fields)?;
    let constants = index::constants(&indexes, &fields)?;
    let with_fields = fields.iter().map(|Field { ty, name, .. }| {
        quote!(.with_field(#name, <#ty as ::lentil::__derive::FieldType>::field_validator()))
    });
    let (into, from) = object_conversions(&fields);
    let from = quote!(let mut object = fields; #from);
    let patch = patch(input, &patch_name, &fields);
    Ok(quote! {
        impl ::lentil::__derive::Document for #name {
            const TABLE: &'static str = #table;

            type Patch = #patch_name;

            fn table() -> ::lentil::__derive::Table {
                ::lentil::__derive::Table::new(#table) #(#with_fields)* #declarations
            }

            fn into_fields(self) -> ::lentil::__derive::Object {
                #into
            }

            fn from_fields(
                fields: ::lentil::__derive::Object,
            ) -> ::core::result::Result<Self, ::lentil::__derive::DecodeError> {
                #from
            }

            fn patch() -> #patch_name {
                #patch_name(::lentil::__derive::Patch::new())
            }
        }

        impl #name {
            #constants
        }

        #patch
    })
}

/// The builder of changes, `JobPatch`.
fn patch(input: &DeriveInput, patch_name: &syn::Ident, fields: &[Field<'_>]) -> TokenStream {
    let (name, visibility) = (&input.ident, &input.vis);
    let doc = format!("A change to some fields of a [`{name}`]; the others stay as they are.");
    let setters = fields.iter().map(setters);
    quote! {
        #[doc = #doc]
        #[derive(Clone, Debug)]
        #[must_use = "a patch changes nothing before it is given to `ctx.db.patch`"]
        #visibility struct #patch_name(::lentil::__derive::Patch<#name>);

        #[allow(dead_code, reason = "not every field is ever patched")]
        impl #patch_name {
            #(#setters)*
        }

        impl ::core::convert::From<#patch_name> for ::lentil::__derive::Patch<#name> {
            fn from(patch: #patch_name) -> Self {
                patch.0
            }
        }
    }
}

fn setters(field: &Field<'_>) -> TokenStream {
    let Field { ident, name, .. } = field;
    let ty = field.option().unwrap_or(field.ty);
    let if_some = format_ident!("{}_if_some", ident);
    let set_doc = format!("Sets `{name}`.");
    let if_some_doc = format!("Sets `{name}` if there is a value, else leaves it as it is.");
    let clear = field.option().map(|_| {
        let clear = format_ident!("clear_{}", ident);
        let doc = format!("Takes `{name}` out of the document.");
        quote! {
            #[doc = #doc]
            pub fn #clear(self) -> Self {
                Self(self.0.set(::lentil::__derive::FieldName::from_static(#name), None))
            }
        }
    });
    quote! {
        #[doc = #set_doc]
        pub fn #ident(self, value: impl ::core::convert::Into<#ty>) -> Self {
            let value: #ty = value.into();
            let value = ::lentil::__derive::FieldType::into_field(value);
            Self(self.0.set(::lentil::__derive::FieldName::from_static(#name), value))
        }

        #[doc = #if_some_doc]
        pub fn #if_some(self, value: ::core::option::Option<#ty>) -> Self {
            match value {
                Some(value) => self.#ident(value),
                None => self,
            }
        }

        #clear
    }
}
