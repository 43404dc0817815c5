//! An enum as a union.
//!
//! ```text
//! enum Content {
//!     Empty,                     v.literal("empty")
//!     Text(String),              v.string()
//!     Image { url: String },     v.object({type: v.literal("image"), url: v.string()})
//! }
//! ```
//!
//! A value converts into the first variant that it matches. A tag selects its variant, so that an
//! error is about the fields of that variant.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DataEnum, DeriveInput, Fields, Ident, Result, Type, Variant};

use crate::attributes::{self, check_identifier, misplaced};
use crate::bodies::{Bodies, implementation};
use crate::misuse::{Derive, Misuse};
use crate::names::variant_name;
use crate::{fields, nested};

pub(crate) fn expand(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    if data.variants.is_empty() {
        return Err(Misuse::EmptyEnum.at(&input.ident));
    }
    let tag = tag(input, data)?;
    let mut seen = HashMap::new();
    let members = data.variants.iter().map(|variant| {
        let literal = literal(variant, &mut seen)?;
        member(variant, &tag, &literal)
    });
    let members: Vec<Bodies> = members.collect::<Result<_>>()?;
    for variant in &data.variants {
        fields::reject_self(&input.ident, variant.fields.iter().map(|field| &field.ty))?;
    }
    let nested = tag_field(&input.ident, data, &tag);
    let implementation = implementation(&input.ident, bodies(&members));
    Ok(quote!(#implementation #nested))
}

/// Makes the tag a field that an index can contain. It is missing in variants without named fields.
fn tag_field(owner: &Ident, data: &DataEnum, tag: &str) -> Option<TokenStream> {
    let is_tagged = |variant: &Variant| matches!(variant.fields, Fields::Named(_));
    let text = quote!(::std::string::String);
    if data.variants.iter().all(is_tagged) {
        Some(nested::of_tag(owner, tag, &text))
    } else if data.variants.iter().any(is_tagged) {
        Some(nested::of_tag(
            owner,
            tag,
            &quote!(::core::option::Option<#text>),
        ))
    } else {
        None
    }
}

fn bodies(members: &[Bodies]) -> Bodies {
    let no_cycle = members.iter().map(|member| &member.no_cycle);
    let validators = members.iter().map(|member| &member.validator);
    let arms = members.iter().map(|member| &member.into);
    let attempts = members.iter().map(|member| &member.from);
    Bodies {
        no_cycle: quote!(true #(&& #no_cycle)*),
        validator: quote!(::lentil::__derive::v::union([#(#validators),*])),
        into: quote!(match self { #(#arms)* }),
        from: quote! {
            #(#attempts)*
            ::core::result::Result::Err(::lentil::__derive::DecodeError::expected(<Self as ::lentil::__derive::ValueType>::validator(), &value))
        },
    }
}

fn tag(input: &DeriveInput, data: &DataEnum) -> Result<String> {
    let Some(tag) = attributes::text(&input.attrs, "tag")? else {
        return Ok("type".to_owned());
    };
    check_identifier("a field", &tag.value(), &tag)?;
    if !data
        .variants
        .iter()
        .any(|variant| matches!(variant.fields, Fields::Named(_)))
    {
        misplaced(
            &input.attrs,
            "tag",
            "on an enum that has variants with named fields",
        )?;
    }
    Ok(tag.value())
}

/// Returns the literal of a variant or of its tag. A unit variant and a tag may have the same
/// literal.
fn literal<'i>(
    variant: &'i Variant,
    seen: &mut HashMap<(bool, String), &'i Ident>,
) -> Result<String> {
    misplaced(&variant.attrs, "tag", "above the enum, not above a variant")?;
    let renamed = attributes::text(&variant.attrs, "rename")?;
    let name = match renamed {
        Some(renamed) => renamed.value(),
        None => variant_name(&variant.ident.to_string()),
    };
    if matches!(variant.fields, Fields::Unnamed(_)) {
        misplaced(
            &variant.attrs,
            "rename",
            "above a variant that is a literal or has named fields",
        )?;
        return Ok(name);
    }
    let is_unit = matches!(variant.fields, Fields::Unit);
    match seen.insert((is_unit, name.clone()), &variant.ident) {
        None => Ok(name),
        Some(other) => {
            let misuse = Misuse::SameName {
                idents: [other, &variant.ident],
                what: "literal",
                name: &name,
            };
            Err(misuse.at(&variant.ident))
        }
    }
}

fn member(variant: &Variant, tag: &str, literal: &str) -> Result<Bodies> {
    match &variant.fields {
        Fields::Unit => Ok(unit(&variant.ident, literal)),
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
            Ok(newtype(&variant.ident, &fields.unnamed[0].ty))
        }
        Fields::Unnamed(_) => Err(Misuse::Variant.at(variant)),
        Fields::Named(_) => tagged(variant, tag, literal),
    }
}

fn unit(ident: &Ident, literal: &str) -> Bodies {
    Bodies {
        no_cycle: quote!(true),
        validator: quote!(::lentil::__derive::v::literal(#literal)),
        into: quote!(Self::#ident => ::lentil::__derive::Value::from(#literal),),
        from: quote! {
            if value.as_str() == ::core::option::Option::Some(#literal) {
                return ::core::result::Result::Ok(Self::#ident);
            }
        },
    }
}

fn newtype(ident: &Ident, ty: &Type) -> Bodies {
    let value_type = fields::qualified(ty, &quote!(ValueType));
    Bodies {
        no_cycle: quote!(#value_type::DOES_NOT_CONTAIN_ITSELF),
        validator: quote!(#value_type::validator()),
        into: quote!(Self::#ident(inner) => #value_type::into_value(inner),),
        from: quote! {
            // A copy: if this variant does not match, the next ones need the value.
            if let ::core::result::Result::Ok(inner) = #value_type::from_value(value.clone()) {
                return ::core::result::Result::Ok(Self::#ident(inner));
            }
        },
    }
}

fn tagged(variant: &Variant, tag: &str, literal: &str) -> Result<Bodies> {
    let ident = &variant.ident;
    let fields = fields::named(&variant.fields, ident, Derive::ValueType)?;
    // The tag and the field would be one field of the object.
    if let Some(clash) = fields.iter().find(|field| field.name == tag) {
        return Err(Misuse::TagField { tag }.at(clash.ident));
    }
    let idents = fields.iter().map(|field| field.ident);
    let validators = fields::validators(&fields);
    let tag_entry = quote!((
        const { ::lentil::__derive::FieldName::from_static(#tag) },
        ::core::option::Option::Some(::lentil::__derive::Value::from(#literal)),
    ));
    let object = fields::into_object(&fields, &quote!(), Some(tag_entry));
    let from = fields::from_object(&fields, &quote!(Self::#ident));
    Ok(Bodies {
        no_cycle: fields::no_cycle(&fields),
        validator: quote!(::lentil::__derive::tagged(#tag, #literal, #validators)),
        into: quote!(Self::#ident { #(#idents),* } => ::lentil::__derive::Value::Object(#object),),
        from: quote! {
            if let ::core::option::Option::Some(mut object) = ::lentil::__derive::take_tagged(&value, #tag, #literal) {
                return { #from };
            }
        },
    })
}
