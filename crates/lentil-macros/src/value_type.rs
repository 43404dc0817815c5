use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Field, Fields, Result};

use crate::attributes::{misplaced, refuse_generics};
use crate::fields;
use crate::misuse::Misuse;
use crate::union;

/// The bodies of the three methods of a `ValueType`, and the types that it is made of.
pub(crate) struct Bodies {
    /// `true`, unless one of them contains the type itself; see [`fields::no_cycle`].
    pub(crate) no_cycle: TokenStream,
    pub(crate) validator: TokenStream,
    pub(crate) into: TokenStream,
    pub(crate) from: TokenStream,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    refuse_generics(input, "ValueType")?;
    misplaced(
        &input.attrs,
        "rename",
        "above a field or a variant, not above the type",
    )?;
    let Bodies {
        no_cycle,
        validator,
        into,
        from,
    } = match &input.data {
        Data::Struct(data) => {
            misplaced(
                &input.attrs,
                "tag",
                "on an enum, whose variants it tells apart",
            )?;
            let (own, flattened) = flattened(&data.fields)?;
            let own = fields::named(&own, &input.ident, "ValueType")?;
            let types = own.iter().map(|field| field.ty);
            let inner = flattened.iter().map(|field| &field.ty);
            fields::refuse_self(&input.ident, types.chain(inner))?;
            object(&own, flattened)
        }
        Data::Enum(data) => union::bodies(input, data)?,
        Data::Union(_) => return Err(Misuse::NoStructOrEnum.at(&input.ident)),
    };
    let name = &input.ident;
    let constant = fields::no_cycle_constant(name, &no_cycle);
    Ok(quote! {
        // Evaluates the constant, also where nothing uses the type.
        const _: bool = <#name as ::lentil::__derive::ValueType>::DOES_NOT_CONTAIN_ITSELF;

        impl ::lentil::__derive::ValueType for #name {
            #constant

            fn validator() -> ::lentil::__derive::Validator {
                #validator
            }

            fn into_value(self) -> ::lentil::__derive::Value {
                #into
            }

            fn from_value(
                value: ::lentil::__derive::Value,
            ) -> ::core::result::Result<Self, ::lentil::__derive::DecodeError> {
                #from
            }
        }
    })
}

/// The fields without the one that is `#[flatten]`, and that one.
fn flattened(fields: &Fields) -> Result<(Fields, Option<Field>)> {
    let (mut own, mut flattened) = (fields.clone(), None);
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
    if let Some(attribute) = flattened
        .iter()
        .flat_map(|field| &field.attrs)
        .find(|attribute| is_flatten(attribute))
    {
        attribute
            .meta
            .require_path_only()
            .map_err(|_| Misuse::FlattenSyntax.at(attribute))?;
    }
    Ok((own, flattened))
}

fn is_flattened(field: &Field) -> bool {
    field.attrs.iter().any(is_flatten)
}

fn is_flatten(attribute: &Attribute) -> bool {
    attribute.path().is_ident("flatten")
}

fn object(fields: &[fields::Field<'_>], flattened: Option<Field>) -> Bodies {
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
                #ident: #value_type::from_value(::lentil::__derive::Value::Object(object))?,
            })
        },
    }
}
