use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DataEnum, DeriveInput, Fields, Result, Variant};

use crate::args::object_conversions;
use crate::attributes::{self, refuse_generics};
use crate::fields::{self, Field};
use crate::names::{refuse_name, variant_name};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    refuse_generics(input, "ValueType")?;
    let (validator, into, from) = match &input.data {
        Data::Struct(data) => object(&fields::named(&data.fields, input, "ValueType")?),
        Data::Enum(data) => union(input, data)?,
        Data::Union(_) => {
            let message = "derive(ValueType) goes on a struct (an object) or an enum (a union of types)";
            return Err(syn::Error::new_spanned(input, message));
        }
    };
    let name = &input.ident;
    Ok(quote! {
        impl ::lentil::__derive::ValueType for #name {
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

fn object(fields: &[Field<'_>]) -> (TokenStream, TokenStream, TokenStream) {
    let validators = fields::validators(fields);
    let (into, from) = object_conversions(fields);
    let validator = quote!(::lentil::__derive::v::object(#validators));
    let into = quote!(::lentil::__derive::Value::Object({ #into }));
    let from = quote! {
        let mut object = <::lentil::__derive::Object as ::lentil::__derive::ValueType>::from_value(value)?;
        #from
    };
    (validator, into, from)
}

/// One variant's part of the union: its validator, the arm that writes it, and the attempt to read it.
struct Member {
    validator: TokenStream,
    into: TokenStream,
    from: TokenStream,
}

fn union(input: &DeriveInput, data: &DataEnum) -> Result<(TokenStream, TokenStream, TokenStream)> {
    if data.variants.is_empty() {
        return Err(syn::Error::new_spanned(&input.ident, "a union of no variants matches no value; add one"));
    }
    let tag = attributes::text(&input.attrs, "tag")?;
    if let Some((tag, refusal)) = tag.as_ref().and_then(|tag| Some((tag, refuse_name("field", &tag.value())?))) {
        return Err(syn::Error::new(tag.span(), refusal));
    }
    let tag = tag.map_or_else(|| "type".to_owned(), |tag| tag.value());
    let mut seen = HashMap::new();
    let members: Vec<Member> =
        data.variants.iter().map(|variant| member(variant, &tag, &mut seen)).collect::<Result<_>>()?;
    let validators = members.iter().map(|member| &member.validator);
    let intos = members.iter().map(|member| &member.into);
    let froms = members.iter().map(|member| &member.from);
    let validator = quote!(::lentil::__derive::v::union([#(#validators),*]));
    let into = quote!(match self { #(#intos)* });
    let from = quote! {
        #(#froms)*
        Err(::lentil::__derive::DecodeError::expected(<Self as ::lentil::__derive::ValueType>::validator(), &value))
    };
    Ok((validator, into, from))
}

fn member(variant: &Variant, tag: &str, seen: &mut HashMap<String, syn::Ident>) -> Result<Member> {
    let renamed = attributes::text(&variant.attrs, "rename")?;
    let literal = renamed.map_or_else(|| variant_name(&variant.ident.to_string()), |text| text.value());
    let ident = &variant.ident;
    if !matches!(variant.fields, Fields::Unnamed(_))
        && let Some(other) = seen.insert(literal.clone(), ident.clone())
    {
        return Err(syn::Error::new_spanned(ident, format!("`{ident}` and `{other}` would both be \"{literal}\"")));
    }
    match &variant.fields {
        Fields::Unit => Ok(unit(ident, &literal)),
        Fields::Unnamed(fields) if fields.unnamed.len() == 1 => Ok(newtype(ident, &fields.unnamed[0].ty)),
        Fields::Unnamed(_) => {
            let message = "a variant holds one type, `Text(String)`, or named fields, `Circle { radius: f64 }`";
            Err(syn::Error::new_spanned(variant, message))
        }
        Fields::Named(_) => tagged(variant, tag, &literal),
    }
}

fn unit(ident: &syn::Ident, literal: &str) -> Member {
    Member {
        validator: quote!(::lentil::__derive::v::literal(#literal)),
        into: quote!(Self::#ident => ::lentil::__derive::Value::from(#literal),),
        from: quote! {
            if value.as_str() == Some(#literal) {
                return Ok(Self::#ident);
            }
        },
    }
}

fn newtype(ident: &syn::Ident, ty: &syn::Type) -> Member {
    let value_type = quote!(<#ty as ::lentil::__derive::ValueType>);
    Member {
        validator: quote!(#value_type::validator()),
        into: quote!(Self::#ident(inner) => #value_type::into_value(inner),),
        from: quote! {
            if let Ok(inner) = #value_type::from_value(value.clone()) {
                return Ok(Self::#ident(inner));
            }
        },
    }
}

fn tagged(variant: &Variant, tag: &str, literal: &str) -> Result<Member> {
    let ident = &variant.ident;
    let fields = fields::named(&variant.fields, variant, "ValueType")?;
    if let Some(clash) = fields.iter().find(|field| field.name == tag) {
        let message = format!("the field `{tag}` is the variant's tag; rename one, or the tag with #[tag(\"…\")]");
        return Err(syn::Error::new_spanned(clash.ident, message));
    }
    let idents: Vec<_> = fields.iter().map(|field| field.ident).collect();
    let validators = fields::validators(&fields);
    let puts = fields::puts(&fields, &quote!());
    let takes = fields::takes(&fields);
    Ok(Member {
        validator: quote! {{
            let tag = (#tag, ::lentil::__derive::FieldValidator::from(::lentil::__derive::v::literal(#literal)));
            ::lentil::__derive::v::object(#validators.into_iter().chain([tag]))
        }},
        into: quote! {
            Self::#ident { #(#idents),* } => {
                let mut fields = ::std::vec::Vec::new();
                ::lentil::__derive::put(&mut fields, #tag, ::std::string::String::from(#literal));
                #puts
                ::lentil::__derive::Value::Object(fields.into_iter().collect())
            }
        },
        from: quote! {
            if let ::lentil::__derive::Value::Object(object) = &value
                && object.get(#tag).and_then(::lentil::__derive::Value::as_str) == Some(#literal)
            {
                let mut object = object.clone();
                object.remove(#tag);
                let read = Self::#ident { #takes };
                ::lentil::__derive::nothing_left(&object)?;
                return Ok(read);
            }
        },
    })
}
