//! Tokens → a condition, with what was expected where it fails. Pure.

use std::ops::Range;

use super::lexer::{Token, lex};
use super::{Bound, Condition, Field, Number, Parsed, Pattern, Scalar, SyntaxError, Test};

/// Parentheses and `not` within each other.
const MAX_DEPTH: usize = 32;

const TESTS: &str = "==, !=, <, <=, >, >=, =~, in, not in, contains, starts_with or ends_with";

pub(super) fn parse(text: &str) -> Result<Parsed, SyntaxError> {
    let mut parser = Parser {
        tokens: lex(text)?,
        position: 0,
        depth: 0,
        fields: Vec::new(),
    };
    let condition = parser.any()?;
    match parser.peek() {
        Token::End => Ok(Parsed {
            condition,
            fields: parser.fields,
        }),
        _ => Err(parser.expected("and, or, or the end")),
    }
}

struct Parser {
    tokens: Vec<(Range<usize>, Token)>,
    position: usize,
    depth: usize,
    fields: Vec<(usize, Field)>,
}

impl Parser {
    /// `A or B or …`
    fn any(&mut self) -> Result<Condition, SyntaxError> {
        let mut parts = vec![self.all()?];
        while self.takes_word("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    /// `A and B and …`
    fn all(&mut self) -> Result<Condition, SyntaxError> {
        let mut parts = vec![self.single()?];
        while self.takes_word("and") {
            parts.push(self.single()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn single(&mut self) -> Result<Condition, SyntaxError> {
        if self.depth == MAX_DEPTH {
            return Err(self.wrong(format!("more than {MAX_DEPTH} parentheses or nots deep")));
        }
        self.depth += 1;
        let condition = if self.takes_word("not") {
            Condition::Not(Box::new(self.single()?))
        } else if self.takes("(") {
            let inside = self.any()?;
            self.expect(")", "and, or, or `)`")?;
            inside
        } else if self.takes_word("exists") {
            self.expect("(", "`(` after exists")?;
            let field = self.field()?;
            self.expect(")", "`)` after the field")?;
            Condition::Test(field, Test::Exists)
        } else {
            self.test()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    /// `FIELD OPERATOR VALUE`
    fn test(&mut self) -> Result<Condition, SyntaxError> {
        let field = self.field()?;
        let (token, at) = (self.peek().clone(), self.position);
        self.position += 1;
        let bound = |bound: Bound, parser: &mut Self| Ok(Test::Is(bound, parser.number()?));
        let test = match &token {
            Token::Symbol("==") => Test::Equals(self.scalar()?),
            Token::Symbol("!=") => {
                let equals = Condition::Test(field, Test::Equals(self.scalar()?));
                return Ok(Condition::Not(Box::new(equals)));
            }
            Token::Symbol("<") => bound(Bound::Below, self)?,
            Token::Symbol("<=") => bound(Bound::AtMost, self)?,
            Token::Symbol(">") => bound(Bound::Above, self)?,
            Token::Symbol(">=") => bound(Bound::AtLeast, self)?,
            Token::Symbol("=~") => Test::Matches(self.pattern()?),
            Token::Word(word) => match word.as_str() {
                "in" => Test::In(self.list()?),
                "not" if self.takes_word("in") => {
                    let listed = Condition::Test(field, Test::In(self.list()?));
                    return Ok(Condition::Not(Box::new(listed)));
                }
                "contains" => Test::Contains(self.text()?),
                "starts_with" => Test::StartsWith(self.text()?),
                "ends_with" => Test::EndsWith(self.text()?),
                _ => {
                    self.position = at;
                    return Err(self.expected(TESTS));
                }
            },
            _ => {
                self.position = at;
                return Err(self.expected(TESTS));
            }
        };
        Ok(Condition::Test(field, test))
    }

    fn field(&mut self) -> Result<Field, SyntaxError> {
        let name = match self.peek() {
            Token::Word(word) if !is_keyword(word) => word.clone(),
            Token::Name(name) => name.clone(),
            _ => return Err(self.expected("a field, not, exists or `(`")),
        };
        let field = Field::try_from(name).map_err(|reason| self.wrong(reason))?;
        self.fields.push((self.at(), field.clone()));
        self.position += 1;
        Ok(field)
    }

    fn list(&mut self) -> Result<Vec<Scalar>, SyntaxError> {
        self.expect("[", "`[` and a list of values")?;
        let mut values = vec![self.scalar()?];
        while self.takes(",") {
            // A comma may end the list, as in TOML.
            if *self.peek() == Token::Symbol("]") {
                break;
            }
            values.push(self.scalar()?);
        }
        self.expect("]", "`,` or `]`")?;
        Ok(values)
    }

    fn scalar(&mut self) -> Result<Scalar, SyntaxError> {
        let scalar = match self.peek() {
            Token::Text(text) => Scalar::Text(text.clone()),
            Token::Number(number) => Scalar::Number(*number),
            Token::Word(word) if word == "true" => Scalar::Bool(true),
            Token::Word(word) if word == "false" => Scalar::Bool(false),
            _ => return Err(self.expected("a \"string\", a number, true or false")),
        };
        self.position += 1;
        Ok(scalar)
    }

    fn number(&mut self) -> Result<Number, SyntaxError> {
        let Token::Number(number) = *self.peek() else {
            return Err(self.expected("a number"));
        };
        self.position += 1;
        Ok(number)
    }

    fn text(&mut self) -> Result<String, SyntaxError> {
        let Token::Text(text) = self.peek() else {
            return Err(self.expected("a \"string\""));
        };
        let text = text.clone();
        self.position += 1;
        Ok(text)
    }

    fn pattern(&mut self) -> Result<Pattern, SyntaxError> {
        let at = self.at();
        let pattern = Pattern::try_from(self.text()?);
        pattern.map_err(|message| SyntaxError { at, message })
    }

    fn peek(&self) -> &Token {
        self.tokens
            .get(self.position)
            .map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        let last = self.tokens.len().saturating_sub(1);
        let token = self.tokens.get(self.position.min(last));
        token.map_or(0, |(place, _)| place.start)
    }

    fn takes(&mut self, symbol: &'static str) -> bool {
        let is_next = *self.peek() == Token::Symbol(symbol);
        self.position += usize::from(is_next);
        is_next
    }

    fn takes_word(&mut self, keyword: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Word(word) if word == keyword);
        self.position += usize::from(is_next);
        is_next
    }

    fn expect(&mut self, symbol: &'static str, expected: &str) -> Result<(), SyntaxError> {
        match self.takes(symbol) {
            true => Ok(()),
            false => Err(self.expected(expected)),
        }
    }

    fn expected(&self, what: &str) -> SyntaxError {
        self.wrong(format!("expected {what}, found {}", self.peek()))
    }

    fn wrong(&self, message: String) -> SyntaxError {
        SyntaxError {
            at: self.at(),
            message,
        }
    }
}

pub(super) fn is_keyword(word: &str) -> bool {
    matches!(
        word,
        "and"
            | "or"
            | "not"
            | "in"
            | "exists"
            | "contains"
            | "starts_with"
            | "ends_with"
            | "true"
            | "false"
    )
}

fn one_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => many(parts),
    }
}
