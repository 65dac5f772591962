package server

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/indelible-ci/indelible/pkg/jsonscan"
)

// fieldsName is the query parameter, header and metadata for requesting a part of the response.
const fieldsName = "fields"

// fields is a tree of paths such as records.data.value.metadata.name. An empty one requests
// everything.
type fields map[string]fields

// maxFields bounds the number of paths, and the length of each.
const maxFields = 256

// parseFields parses lists of paths, separated by commas.
func parseFields(lists []string) fields {
	root := fields{}
	n := 0
	for _, list := range lists {
		for path := range strings.SplitSeq(list, ",") {
			if path = strings.TrimSpace(path); path != "" && n < maxFields {
				n++
				root.add(strings.SplitN(path, ".", maxFields))
			}
		}
	}
	return root.normalized()
}

func (f fields) add(path []string) {
	for _, step := range path {
		next := f[step]
		if next == nil {
			next = fields{}
			f[step] = next
		}
		f = next
	}
	f[""] = fields{} // everything below, whatever else is requested
}

// normalized drops paths that begin with another one.
func (f fields) normalized() fields {
	if _, whole := f[""]; whole {
		return fields{}
	}
	for step, rest := range f {
		f[step] = rest.normalized()
	}
	return f
}

// wants says whether a path, or anything below it, is requested.
func (f fields) wants(path ...string) bool {
	for _, step := range path {
		if len(f) == 0 {
			return true
		}
		next, ok := f[step]
		if !ok {
			return false
		}
		f = next
	}
	return true
}

// withFields adds the requested fields to a context.
func withFields(ctx context.Context) (context.Context, fields) {
	md, _ := metadata.FromIncomingContext(ctx)
	f := parseFields(md.Get(fieldsName))
	return context.WithValue(ctx, fieldsKey, f), f
}

func fieldsOf(ctx context.Context) fields {
	f, _ := ctx.Value(fieldsKey).(fields)
	return f
}

// annotateFields passes the fields of a REST request, from query parameter and header, to
// grpc-gateway.
func annotateFields(_ context.Context, r *http.Request) metadata.MD {
	md := metadata.MD{}
	md.Append(fieldsName, append(r.URL.Query()[fieldsName], r.Header.Values(fieldsName)...)...)
	return md
}

// filter clears what was not requested, in the message itself.
func (f fields) filter(message protoreflect.Message) {
	if len(f) == 0 {
		return
	}
	message.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		wanted, ok := f[string(field.Name())]
		switch {
		case !ok:
			message.Clear(field)
		case len(wanted) > 0:
			wanted.filterValue(message, field, value)
		}
		return true
	})
}

func (f fields) filterValue(
	message protoreflect.Message, field protoreflect.FieldDescriptor, value protoreflect.Value,
) {
	switch {
	case field.IsMap():
		value.Map().Range(func(key protoreflect.MapKey, _ protoreflect.Value) bool {
			if _, ok := f[key.String()]; !ok {
				value.Map().Clear(key)
			}
			return true
		})
	case field.IsList() && field.Kind() == protoreflect.MessageKind:
		for i := range value.List().Len() {
			f.filter(value.List().Get(i).Message())
		}
	case field.Kind() == protoreflect.MessageKind:
		f.filter(value.Message())
	case field.Kind() == protoreflect.BytesKind && json.Valid(value.Bytes()):
		var out bytes.Buffer
		f.filterJSON(&out, value.Bytes())
		message.Set(field, protoreflect.ValueOfBytes(out.Bytes()))
	}
}

// filterJSON writes the requested fields of a valid JSON text. Missing ones are null, as in Tekton
// Results.
func (f fields) filterJSON(out *bytes.Buffer, text []byte) {
	if len(f) == 0 {
		out.Write(text)
		return
	}
	members := map[string]jsonscan.Span{}
	_ = jsonscan.Members(text, func(key []byte, value jsonscan.Span) error { // anything but an object has no members
		members[decoded(key)] = value
		return nil
	})
	separator := byte('{')
	for _, step := range slices.Sorted(maps.Keys(f)) {
		out.WriteByte(separator)
		separator = ','
		name, _ := json.Marshal(step) // a string
		out.Write(name)
		out.WriteByte(':')
		if at, ok := members[step]; ok {
			f[step].filterJSON(out, at.Of(text))
		} else {
			f[step].filterJSON(out, []byte("null"))
		}
	}
	out.WriteByte('}')
}

// decoded decodes a field's name, which Members returns as it is written.
func decoded(key []byte) string {
	name := string(key)
	if bytes.IndexByte(key, '\\') >= 0 {
		_ = json.Unmarshal([]byte(`"`+name+`"`), &name) // it is valid
	}
	return name
}
