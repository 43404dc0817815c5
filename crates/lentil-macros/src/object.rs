//! A struct as an object.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, DataStruct, DeriveInput, Field, Fields, Result};

use crate::attributes::misplaced;
use crate::bodies::{Bodies, implementation};
use crate::misuse::{Derive, Misuse};
use crate::{fields, nested};

pub(crate) fn expand(input: &DeriveInput, data: &DataStruct) -> Result<TokenStream> {
    misplaced(
        &input.attrs,
        "tag",
        "on an enum, whose variants it distinguishes",
    )?;
    // Separated first: `fields::named` rejects `#[flatten]`, which other derives do not have.
    let (own, flattened) = flattened(&data.fields)?;
    let own = fields::named(&own, &input.ident, Derive::ValueType)?;
    let types = own.iter().map(|field| field.ty);
    let inner = flattened.iter().map(|field| &field.ty);
    fields::reject_self(&input.ident, types.chain(inner))?;

    let nested = nested::of_struct(&input.ident, &own);
    let implementation = implementation(&input.ident, bodies(&own, flattened));
    Ok(quote!(#implementation #nested))
}

/// Separates the `#[flatten]` field from the other fields.
fn flattened(fields: &Fields) -> Result<(Fields, Option<Field>)> {
    let mut own = fields.clone();
    let mut flattened = None;
    if let Fields::Named(named) = &mut own {
        let (found, rest): (Vec<Field>, Vec<Field>) = std::mem::take(&mut named.named)
            .into_iter()
            .partition(is_flattened);
        named.named = rest.into_iter().collect();
        let mut found = found.into_iter();
        flattened = found.next();
        if let Some(second) = found.next() {
            return Err(Misuse::FlattenTwice.at(second));
        }
    }

    let mut attributes = flattened.iter().flat_map(|field| &field.attrs);
    if let Some(attribute) = attributes.find(|attribute| is_flatten(attribute))
        && attribute.meta.require_path_only().is_err()
    {
        return Err(Misuse::FlattenSyntax.at(attribute));
    }
    Ok((own, flattened))
}

fn is_flattened(field: &Field) -> bool {
    field.attrs.iter().any(is_flatten)
}

fn is_flatten(attribute: &Attribute) -> bool {
    attribute.path().is_ident("flatten")
}

fn bodies(fields: &[fields::Field<'_>], flattened: Option<Field>) -> Bodies {
    let validators = fields::validators(fields);
    let object = fields::into_object(fields, &quote!(self.), None);
    let takes_object = quote! {
        let mut object = <::lentil::__derive::Object as ::lentil::__derive::ValueType>::from_value(value)?;
    };
    let no_cycle = fields::no_cycle(fields);
    let Some(Field { ident, ty, .. }) = flattened else {
        let from = fields::from_object(fields, &quote!(Self));
        return Bodies {
            no_cycle,
            validator: quote!(::lentil::__derive::v::object(#validators)),
            into: quote!(::lentil::__derive::Value::Object(#object)),
            from: quote!(#takes_object #from),
        };
    };
    let takes = fields::takes(fields);
    let value_type = fields::qualified(&ty, &quote!(ValueType));
    Bodies {
        no_cycle: quote!(#no_cycle && #value_type::DOES_NOT_CONTAIN_ITSELF),
        validator: quote!(::lentil::__derive::with_flattened::<#ty, _>(#validators)),
        into: quote!(::lentil::__derive::Value::Object(::lentil::__derive::flatten(#object, self.#ident))),
        from: quote! {
            #takes_object
            ::core::result::Result::Ok(Self {
                #(#takes,)*
                // The flattened type gets the fields that are left, and rejects unknown ones.
                #ident: #value_type::from_value(::lentil::__derive::Value::Object(object))?,
            })
        },
    }
}
