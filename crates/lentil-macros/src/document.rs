use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, LitStr, Result};

use crate::attributes::{self, check_name, misplaced, reject_generics};
use crate::fields::{self, Field};
use crate::index::{self, Index};
use crate::misuse::{Derive, Misuse};
use crate::patch;

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    reject_generics(input, Derive::Document)?;
    misplaced(&input.attrs, "rename", "above a field, not above the type")?;
    let Data::Struct(data) = &input.data else {
        return Err(Misuse::NoStruct {
            derive: Derive::Document,
            each: "field of the table's documents",
        }
        .at(&input.ident));
    };
    let table = table_name(input)?;
    let fields = fields::named(&data.fields, &input.ident, Derive::Document)?;
    let indexes = index::read(&input.attrs, &fields)?;
    let document = document(input, &table, &fields, &indexes);
    let patch = patch::expand(input, &fields)?;
    let name = &input.ident;
    let definitions = indexes.iter().map(Index::definition);
    Ok(quote! {
        #document

        #[allow(dead_code, reason = "an application may not use every index")]
        impl #name {
            #(#definitions)*
        }

        #patch
    })
}

fn table_name(input: &DeriveInput) -> Result<LitStr> {
    let table =
        attributes::text(&input.attrs, "table")?.ok_or_else(|| Misuse::NoTable.at(&input.ident))?;
    let name = table.value();
    let checked = match name.strip_prefix('_') {
        Some(rest) if is_system(input) => rest,
        _ => &name,
    };
    check_name("a table", checked, &table)?;
    Ok(table)
}

/// Returns whether the document belongs to a table of the engine, `#[system]`.
fn is_system(input: &DeriveInput) -> bool {
    attributes::has(&input.attrs, "system")
}

fn document(
    input: &DeriveInput,
    table: &LitStr,
    fields: &[Field<'_>],
    indexes: &[Index<'_>],
) -> TokenStream {
    let name = &input.ident;
    let patch_name = patch::name(input);
    let declarations = indexes.iter().map(Index::declaration);
    let with_fields = fields.iter().map(|field| {
        let name = &field.name;
        let field_type = field.field_type();
        quote!(.with_field(#name, #field_type::field_validator()))
    });
    let into = fields::into_object(fields, &quote!(self.), None);
    // Two structs can read one system table, so each ignores the fields of the other.
    let from = if is_system(input) {
        fields::from_larger_object(fields, &quote!(Self))
    } else {
        fields::from_object(fields, &quote!(Self))
    };
    let no_cycle = fields::no_cycle(fields);
    let constant = fields::no_cycle_constant(name, &no_cycle);
    quote! {
        // Evaluates the constants of the fields even if nothing uses the type.
        const _: bool = #no_cycle;

        impl ::lentil::__derive::Document for #name {
            const TABLE: &'static str = #table;

            #constant

            type Patch = #patch_name;

            fn table() -> ::lentil::__derive::Table {
                ::lentil::__derive::Table::new(#table) #(#with_fields)* #(#declarations)*
            }

            fn into_fields(self) -> ::lentil::__derive::Object {
                #into
            }

            fn from_fields(
                mut object: ::lentil::__derive::Object,
            ) -> ::core::result::Result<Self, ::lentil::__derive::DecodeError> {
                #from
            }

            fn patch() -> #patch_name {
                #patch_name(::lentil::__derive::Patch::new())
            }
        }
    }
}
