package filter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Bounds of patterns: the memory and time of Go's regexp depend on the number of instructions.
const (
	maxPattern       = 1 << 10 // bytes of a pattern in a filter
	maxRecordPattern = 256     // bytes of a pattern in a record, compiled for each record
	maxInstructions  = 5000
	// quick is the work, instructions times bytes, up to which a match cannot be interrupted.
	quick = 1 << 20
	// contextEvery is after how many characters the context is checked.
	contextEvery = 256
)

var errPattern = errors.New("the pattern of matches is too long")

// match searches a text for a pattern, which is compiled in advance if it is constant.
type match struct {
	text, pattern node
	compiled      *regexp.Regexp
	instructions  int
}

func newMatch(text, pattern node) (node, error) {
	c, ok := pattern.(constant)
	if !ok {
		return &match{text: text, pattern: pattern}, nil
	}
	literal, _ := c.value.(string)
	n := &match{text: text}
	return n, n.compile(literal, maxPattern)
}

func (n *match) compile(pattern string, limit int) (err error) {
	if n.instructions, err = sizeOf(pattern, limit); err != nil {
		return err
	}
	n.compiled, err = regexp.Compile(pattern)
	return err
}

func checkPattern(pattern string, limit int) error {
	_, err := sizeOf(pattern, limit)
	return err
}

// sizeOf returns about how many instructions a pattern compiles to, or an error if it is invalid or
// too long.
func sizeOf(pattern string, limit int) (int, error) {
	if len(pattern) > limit {
		return 0, fmt.Errorf("%w: %d bytes, more than %d: use a shorter one", errPattern, len(pattern), limit)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	n := instructions(parsed)
	if n > maxInstructions {
		return 0, fmt.Errorf("%w when its repetitions are written out: more than %d instructions: "+
			"repeat less, such as by * for {1000}", errPattern, maxInstructions)
	}
	return n, nil
}

// instructions counts without writing repetitions out, as that would take the memory.
func instructions(re *syntax.Regexp) int {
	n := 0
	for _, sub := range re.Sub {
		n = min(n+instructions(sub), maxInstructions+1) // repetitions cannot overflow
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCapture:
		n += 2
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		n++
	case syntax.OpAlternate:
		n += len(re.Sub) - 1
	case syntax.OpRepeat:
		switch {
		case re.Max < 0:
			n = n*max(re.Min, 1) + 1
		default:
			n = n*re.Max + re.Max - re.Min
		}
	}
	return max(n, 1)
}

func (n *match) eval(e *evaluation) any {
	a := e.value(n.text)
	if isUnknown(a) {
		return anything
	}
	text, ok := textOf(a)
	with := n
	if n.compiled == nil {
		b := e.value(n.pattern)
		if isUnknown(b) {
			return anything
		}
		pattern, is := textOf(b)
		if with = new(match); !is || with.compile(pattern, maxRecordPattern) != nil {
			return isNull
		}
	}
	if !ok {
		return isNull
	}
	if len(text) > maxText {
		return e.fail(fmt.Errorf("%w: matches on a text of %d bytes, and at most %d are allowed: "+
			"use contains, or a field below it", ErrCost, len(text), maxText))
	}
	return with.find(e, text)
}

func (n *match) find(e *evaluation, text string) any {
	if n.instructions*len(text) <= quick {
		return truthIf(n.compiled.MatchString(text))
	}
	found := n.compiled.MatchReader(&contextReader{ctx: e.ctx, from: strings.NewReader(text)})
	if err := e.ctx.Err(); err != nil {
		return e.fail(err)
	}
	return truthIf(found)
}

// contextReader ends a text early if its context ends.
type contextReader struct {
	ctx  context.Context
	from *strings.Reader
	read int
}

// ReadRune implements io.RuneReader.
func (r *contextReader) ReadRune() (rune, int, error) {
	if r.read++; r.read%contextEvery == 0 && r.ctx.Err() != nil {
		return 0, 0, io.EOF
	}
	return r.from.ReadRune()
}
