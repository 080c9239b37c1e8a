package admin_test

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"airmirror/api/admin"
	"airmirror/api/admin/service"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/sync/bundle"
	"airmirror/sync/migrate"
	"airmirror/sync/prefetch"
	"airmirror/sync/transfer"
)

// update writes the document: go test ./api/admin -run TestOpenAPI -update
var update = flag.Bool("update", false, "write openapi.json")

// object is a JSON object of the document.
type object map[string]any

// operation describes a request for the document. The types of bodies are those of the values.
type operation struct {
	summary string
	query   []string // names and descriptions of parameters in turn
	request any      // nil for none
	answer  any      // nil for none
	lines   bool     // the answer is a line of JSON for each value
}

// operations are the requests of the API by their patterns.
var operations = map[string]operation{
	"PUT /api/v1/users/{name}":    {summary: "Set the password of a user, who is created if necessary", request: admin.PasswordRequest{}, answer: admin.UserChange{}},
	"DELETE /api/v1/users/{name}": {summary: "Remove a user", answer: admin.UserChange{}},
	"GET /api/v1/status":          {summary: "The state of the mirror", answer: admin.Status{}},
	"GET /api/v1/mode":            {summary: "The current mode", answer: admin.Mode{}},
	"PUT /api/v1/mode":            {summary: "Switch the mode", request: admin.Mode{}, answer: admin.Mode{}},
	"PUT /api/v1/read-only":       {summary: "Switch read-only on or off", request: admin.ReadOnly{}, answer: admin.ReadOnly{}},
	"GET /api/v1/images": {summary: "The stored images, a line for each", answer: admin.Image{}, lines: true,
		query: []string{"match", "a pattern, as of 'mirror ls'; may be repeated", "incomplete", "only images that are not complete", "platform", "only images of this platform; may be repeated", "origin", "only images of this origin; may be repeated"}},
	"GET /api/v1/images/page": {summary: "A page of the stored images, sorted", answer: admin.ImagePage{},
		query: []string{"match", "as for images", "sort", "name, size, used or updated", "reverse", "in the opposite order", "limit", "images in the page", "after", "next of the page before"}},
	"GET /api/v1/images/counts":  {summary: "How many images are stored", answer: mirror.ImageCounts{}},
	"GET /api/v1/images/details": {summary: "What is stored of an image", answer: admin.ImageDetails{}, query: []string{"image", "name with a tag or digest", "raw", "with the bytes of the manifest"}},
	"GET /api/v1/folders":        {summary: "The parts of the names of repositories", answer: []admin.Folder{}, query: []string{"in", "the folder"}},
	"GET /api/v1/storage/history": {
		summary: "How much was stored on each of the last days", answer: []gc.Sample{},
	},
	"GET /api/v1/transfers": {summary: "Running downloads, and images that are completed in the background", answer: mirror.Transfers{}},
	"GET /api/v1/changes": {summary: "The latest changes: who did what, and from where", answer: admin.ChangePage{},
		query: []string{"match", "a pattern of repositories, as for images", "action", "such as push, delete, import or mode; may be repeated", "user", "who did it",
			"since", "a time as 2026-01-31T00:00:00Z", "before", "next of the page before", "after", "only changes with higher numbers", "limit", "changes in the page"}},
	"GET /api/v1/wants":         {summary: "What clients requested and could not get", answer: []mirror.Want{}},
	"POST /api/v1/wants/forget": {summary: "Delete wants", request: admin.ForgetRequest{}, answer: admin.ForgetResult{}},
	"GET /api/v1/access":        {summary: "Users, and the rules that say who may do what", answer: admin.AccessRules{}},
	"GET /api/v1/access/check": {summary: "Whether a client may perform an action in a repository", answer: admin.AccessAnswer{},
		query: []string{"user", "a user, token: and the name of an API token, or nothing for an anonymous client", "action", "pull, push, delete or admin", "repository", "nothing for the mirror as a whole"}},
	"GET /api/v1/tokens":  {summary: "The API tokens", answer: []admin.Token{}},
	"POST /api/v1/tokens": {summary: "Create an API token. The secret is in the answer only", request: admin.TokenRequest{}, answer: admin.NewToken{}},
	"DELETE /api/v1/tokens/{name}": {
		summary: "Revoke an API token", answer: struct{}{},
	},
	"GET /api/v1/jobs":      {summary: "Running jobs, and those that ended lately", answer: []admin.JobStatus{}},
	"GET /api/v1/jobs/{id}": {summary: "A job", answer: admin.JobStatus{}},
	"DELETE /api/v1/jobs/{id}": {
		summary: "Cancel a job", answer: admin.JobStatus{},
	},
	"GET /api/v1/jobs/{id}/events": {summary: "Watch a job: a line for each event, or server-sent events if the client accepts text/event-stream", answer: admin.Event{}, lines: true,
		query: []string{"after", "the number of the last known event, as Last-Event-ID", "attach", "1: the job ends when nobody watches it"}},
	"HEAD /api/v1/jobs/{id}/input":  {summary: "Where the input of a job continues: the header Upload-Offset"},
	"PATCH /api/v1/jobs/{id}/input": {summary: "Send input of a job from Upload-Offset on. Upload-Complete: ?0 announces more", request: []byte{}, answer: admin.JobStatus{}},
	"GET /api/v1/openapi.json":      {summary: "This document", answer: object{}},
}

// named are the requests of jobs, calls and streams by their names.
var named = map[string]any{
	"sync": prefetch.Request{}, "import": transfer.ImportRequest{}, "collect": admin.CollectRequest{}, "verify": admin.VerifyRequest{}, "compact": admin.CompactRequest{},
	"list-tags": prefetch.TagsRequest{}, "export-plan": transfer.ExportRequest{}, "export-sent": bundle.Document{}, "export-history": struct{}{}, "remove": admin.RemoveRequest{},
	"usage": admin.UsageRequest{}, "pins": struct{}{}, "pin": []string{}, "unpin": []string{}, "tag": admin.TagRequest{},
	"export": transfer.ExportRequest{}, "backup": struct{}{}, "receipt": struct{}{}, "chart": admin.ChartRequest{},
	"migrate": struct {
		admin.MigrateRequest
		migrate.Request
	}{},
}

// TestOpenAPIIsCurrent compares api/admin/openapi.json with the routes and the types of Go.
func TestOpenAPIIsCurrent(t *testing.T) {
	d := &document{schemas: object{}, types: map[string]reflect.Type{}, comments: readComments(t, "../..")}
	paths := object{}
	s := service.New(nil, nil, service.Options{})
	for _, pattern := range admin.Patterns() {
		switch {
		case admin.IsLocal(pattern), pattern == "/": // not for users of the network
		case strings.HasSuffix(pattern, "/calls/{name}"):
			d.addNamed(t, paths, pattern, s.Calls(), "Run a call: ", operation{answer: admin.Event{}, lines: true})
		case strings.HasSuffix(pattern, "/jobs/{name}"):
			d.addNamed(t, paths, pattern, s.Jobs(), "Start a job: ", operation{answer: admin.JobStatus{}, query: []string{"input", "1: the job has input", "attached", "1: the job belongs to this client"}})
		case strings.HasSuffix(pattern, "/streams/{name}"):
			d.addNamed(t, paths, pattern, s.Streams(), "Read a stream: ", operation{answer: []byte{}})
		default:
			op, ok := operations[pattern]
			if !ok {
				t.Errorf("%s is not described: add it to operations", pattern)
			}
			d.add(paths, pattern, op)
		}
	}
	text := d.encode(t, paths)
	if *update {
		must(t, os.WriteFile("openapi.json", text, 0o644))
	}
	if current, err := os.ReadFile("openapi.json"); err != nil || !bytes.Equal(current, text) {
		t.Errorf("openapi.json differs from the types: run 'make docs' (%v)", err)
	}
}

// document is an OpenAPI document that is made from types.
type document struct {
	schemas  object
	types    map[string]reflect.Type // of schemas
	comments map[string]string       // of types and fields, by package.Type and package.Type.Field
}

func (d *document) encode(t *testing.T, paths object) []byte {
	text, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Mirror API", "version": "1",
			"description": "Administration of a mirror. Users and API tokens may do what the rules allow; errors name the right that is missing.",
		},
		"paths":    paths,
		"security": []object{{"basic": []string{}}, {"token": []string{}}, {}},
		"components": object{
			"schemas": d.schemas,
			"responses": object{"Error": object{"description": "An error in the form of the OCI distribution specification.", "content": object{
				"application/json": object{"schema": d.schema(reflect.TypeFor[struct {
					Errors []admin.JobError `json:"errors"`
				}]())},
			}}},
			"securitySchemes": object{
				"basic": object{"type": "http", "scheme": "basic", "description": "A user and a password, or the name and the secret of an API token."},
				"token": object{"type": "http", "scheme": "bearer", "description": "The secret of an API token."},
			},
		},
	}, "", " ")
	must(t, err)
	return append(text, '\n')
}

// addNamed adds an operation for each job, call or stream of a pattern.
func (d *document) addNamed(t *testing.T, paths object, pattern string, all any, summary string, op operation) {
	for _, name := range reflect.ValueOf(all).MapKeys() {
		request, ok := named[name.String()]
		if !ok {
			t.Errorf("the request of %s is not known: add it to named", name)
		}
		if admin.IsLocalName(name.String()) {
			continue
		}
		op.summary, op.request = summary+name.String(), request
		d.add(paths, strings.Replace(pattern, "{name}", name.String(), 1), op)
	}
}

var parameter = regexp.MustCompile(`\{(\w+)\}`)

func (d *document) add(paths object, pattern string, op operation) {
	method, path, _ := strings.Cut(pattern, " ")
	parameters := []object{}
	for _, name := range parameter.FindAllStringSubmatch(path, -1) {
		parameters = append(parameters, object{"name": name[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for i := 0; i < len(op.query); i += 2 {
		parameters = append(parameters, object{"name": op.query[i], "in": "query", "description": op.query[i+1], "schema": object{"type": "string"}})
	}
	ok := object{"description": "Success"}
	if op.answer != nil {
		ok["content"] = d.content(op.answer, op.lines)
	}
	described := object{"summary": op.summary, "responses": object{"200": ok, "default": object{"$ref": "#/components/responses/Error"}}}
	if len(parameters) > 0 {
		described["parameters"] = parameters
	}
	if op.request != nil {
		described["requestBody"] = object{"content": d.content(op.request, false)}
	}
	if paths[path] == nil {
		paths[path] = object{}
	}
	paths[path].(object)[strings.ToLower(method)] = described
}

// content returns the body of a request or an answer. Bytes are no JSON.
func (d *document) content(value any, lines bool) object {
	switch {
	case reflect.TypeOf(value) == reflect.TypeFor[[]byte]():
		return object{"application/octet-stream": object{}}
	case lines:
		return object{"application/x-ndjson": object{"schema": d.schema(reflect.TypeOf(value))}}
	}
	return object{"application/json": object{"schema": d.schema(reflect.TypeOf(value))}}
}

// schema returns the JSON schema of a type. Structs with names are in the components.
func (d *document) schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage](), t.Kind() == reflect.Interface, t == reflect.TypeFor[object]():
		return object{}
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem())
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()), t.Kind() == reflect.String:
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": []string{"array", "null"}, "items": d.schema(t.Elem())}
	case reflect.Struct:
		return d.structure(t)
	}
	return object{"type": "integer"}
}

// structure returns the schema of a struct, or a reference to it.
func (d *document) structure(t reflect.Type) object {
	schema, name := object{"type": "object"}, typeName(t)
	if name != "" {
		reference := object{"$ref": "#/components/schemas/" + name}
		if known := d.types[name]; known != nil && known != t {
			panic(fmt.Sprintf("%s and %s have the same name in the document", known, t))
		} else if known != nil {
			return reference
		}
		d.schemas[name], d.types[name] = schema, t
	}
	properties := object{}
	d.fields(t, properties)
	if len(properties) > 0 {
		schema["properties"] = properties
	}
	if comment := d.comments[goName(t)]; comment != "" {
		schema["description"] = comment
	}
	if name != "" {
		return object{"$ref": "#/components/schemas/" + name}
	}
	return schema
}

// fields adds the properties of a struct, with those of embedded ones.
func (d *document) fields(t reflect.Type, properties object) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		embedded := field.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		switch {
		case name == "-" || !field.IsExported() && !field.Anonymous:
			continue
		case field.Anonymous && name == "" && embedded.Kind() == reflect.Struct:
			d.fields(embedded, properties)
			continue
		case name == "":
			name = field.Name
		}
		property := d.schema(field.Type)
		if comment := d.comments[goName(t)+"."+field.Name]; comment != "" {
			property["description"] = comment
		}
		properties[name] = property
	}
}

// typeName returns the name of a type in the document, "" for one without a name.
func typeName(t reflect.Type) string {
	pkg := filepath.Base(t.PkgPath())
	switch {
	case t.Name() == "":
		return ""
	case pkg == "admin" || pkg == "mirror":
		return strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + t.Name()
}

func goName(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }

var links = regexp.MustCompile(`\[([\w.]+)\]`)

// readComments returns the comments of all types of the module in a folder, and of their fields.
func readComments(t *testing.T, root string) map[string]string {
	comments := map[string]string{}
	note := func(key string, groups ...*ast.CommentGroup) {
		for _, group := range groups {
			if text := strings.Join(strings.Fields(group.Text()), " "); text != "" && comments[key] == "" {
				comments[key] = links.ReplaceAllString(text, "$1")
			}
		}
	}
	read := func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		must(t, err)
		folder, err := filepath.Rel(root, filepath.Dir(path))
		must(t, err)
		for _, declaration := range file.Decls {
			types, ok := declaration.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range types.Specs {
				spec, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				name := "airmirror/" + filepath.ToSlash(folder) + "." + spec.Name.Name
				note(name, spec.Doc, types.Doc)
				if of, ok := spec.Type.(*ast.StructType); ok {
					for _, field := range of.Fields.List {
						for _, ident := range field.Names {
							note(name+"."+ident.Name, field.Doc, field.Comment)
						}
					}
				}
			}
		}
	}
	for _, folder := range []string{"api", "gc", "mirror", "sync"} {
		must(t, filepath.WalkDir(filepath.Join(root, folder), func(path string, entry os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				read(path)
			}
			return err
		}))
	}
	return comments
}
