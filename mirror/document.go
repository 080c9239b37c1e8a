package mirror

import (
	"encoding/json"
	"iter"
	"strings"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxDescriptors and maxAnnotations are the maximum numbers in a manifest. Images have up to some hundred layers, and
	// indexes up to some thousand entries. 4 MiB could hold many more, all of which one transaction would have to check and
	// write.
	maxDescriptors = 20000
	maxAnnotations = 20000
)

// document is the JSON of a manifest with all known fields. Fields that may be large remain JSON, so that only what is
// needed is decoded: decoded values may take a hundred times as much memory. A field that is absent or null is nil.
type document struct {
	schemaVersion                                          int
	mediaType, artifactType                                string
	config, layers, blobs, manifests, subject, annotations []byte
	fsLayers, signatures                                   []byte // of schema 1
	// data is the complete document if it is valid JSON.
	data []byte
}

var (
	errDocument    = Errorf(CodeManifestInvalid, "manifest is not valid JSON")
	errDescriptors = Errorf(CodeManifestInvalid, "manifest has more than %d descriptors", maxDescriptors)
)

// readDocument reads the known fields. If there is an error, only data is set, if that is valid JSON.
func readDocument(data []byte) (document, error) {
	if !json.Valid(data) {
		return document{}, errDocument
	}
	doc := document{data: data}
	if data[space(data, 0)] != '{' {
		return doc, errDocument
	}
	raw := map[string]*[]byte{"config": &doc.config, "layers": &doc.layers, "blobs": &doc.blobs,
		"manifests": &doc.manifests, "subject": &doc.subject, "annotations": &doc.annotations,
		"fsLayers": &doc.fsLayers, "signatures": &doc.signatures}
	scalars := map[string]any{"schemaVersion": &doc.schemaVersion, "mediaType": &doc.mediaType, "artifactType": &doc.artifactType}
	seen := map[string]bool{}
	for key, value := range members(data) {
		name := fieldName(key)
		if name == "" {
			continue
		}
		if seen[name] {
			// Clients disagree on which of the two is valid.
			return document{data: data}, Errorf(CodeManifestInvalid, "manifest has the field %s twice", name)
		}
		seen[name] = true
		if string(value) == "null" {
			continue
		}
		if field := raw[name]; field != nil {
			*field = value
		} else if err := json.Unmarshal(value, scalars[name]); err != nil {
			return document{data: data}, &Error{Code: CodeManifestInvalid, Message: "manifest has a malformed " + name, Cause: err}
		}
	}
	return doc, nil
}

var manifestFields = []string{"schemaVersion", "mediaType", "artifactType", "config", "layers", "blobs", "manifests", "subject", "annotations",
	"fsLayers", "signatures"}

// fieldName returns the known field that a quoted key means, or "". As for clients in Go, case does not matter, nor do
// escapes.
func fieldName(quoted []byte) string {
	const most = 100 // the longest field, with all characters escaped
	if len(quoted) > most {
		return ""
	}
	name := keyName(quoted)
	for _, known := range manifestFields {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return ""
}

// reading decodes fields of a document and counts what is limited.
type reading struct {
	descriptors, annotations int
}

// list decodes an array of descriptors. It stops at the first invalid one.
func (r *reading) list(field string, array []byte, annotated bool) ([]v1.Descriptor, error) {
	if array == nil {
		return nil, nil
	}
	if array[0] != '[' {
		return nil, Errorf(CodeManifestInvalid, "manifest has a field for each %s that is not a list", field)
	}
	var list []v1.Descriptor
	for element := range elements(array) {
		desc, err := r.descriptor(field, element, annotated)
		if err != nil {
			return nil, err
		}
		list = append(list, desc)
	}
	return list, nil
}

// descriptor decodes a descriptor, with its annotations if annotated is set.
func (r *reading) descriptor(field string, object []byte, annotated bool) (v1.Descriptor, error) {
	if r.descriptors++; r.descriptors > maxDescriptors {
		return v1.Descriptor{}, errDescriptors
	}
	var fields struct {
		MediaType    string        `json:"mediaType"`
		Digest       digest.Digest `json:"digest"`
		Size         int64         `json:"size"`
		ArtifactType string        `json:"artifactType"`
		Platform     *struct {
			OS           string `json:"os"`
			OSVersion    string `json:"os.version"`
			Architecture string `json:"architecture"`
			Variant      string `json:"variant"`
		} `json:"platform"`
		Annotations json.RawMessage `json:"annotations"`
	}
	if err := json.Unmarshal(object, &fields); err != nil {
		return v1.Descriptor{}, &Error{Code: CodeManifestInvalid, Message: "manifest has a malformed " + field, Cause: err}
	}
	desc := v1.Descriptor{MediaType: fields.MediaType, Digest: fields.Digest, Size: fields.Size, ArtifactType: fields.ArtifactType}
	if p := fields.Platform; p != nil {
		desc.Platform = &v1.Platform{OS: p.OS, OSVersion: p.OSVersion, Architecture: p.Architecture, Variant: p.Variant}
	}
	err := checkDescriptor(field, desc)
	if err == nil && annotated && string(fields.Annotations) != "null" {
		desc.Annotations, err = r.texts(fields.Annotations)
	}
	return desc, err
}

// texts decodes annotations.
func (r *reading) texts(object []byte) (map[string]string, error) {
	if object == nil {
		return nil, nil
	}
	if object[0] == '{' {
		for range members(object) {
			r.annotations++
		}
	}
	if r.annotations > maxAnnotations {
		return nil, Errorf(CodeManifestInvalid, "manifest has more than %d annotations", maxAnnotations)
	}
	var texts map[string]string
	if err := json.Unmarshal(object, &texts); err != nil {
		return nil, &Error{Code: CodeManifestInvalid, Message: "manifest has malformed annotations", Cause: err}
	}
	return texts, nil
}

// members yields the quoted keys and the values of a valid JSON object as JSON.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for i := space(object, space(object, 0)+1); object[i] != '}'; {
			end := valueEnd(object, i)
			key := object[i:end]
			i = space(object, space(object, end)+1)
			end = valueEnd(object, i)
			if !yield(key, object[i:end]) {
				return
			}
			i = next(object, end)
		}
	}
}

// elements yields the values of a valid JSON array as JSON.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := space(array, 1); array[i] != ']'; {
			end := valueEnd(array, i)
			if !yield(array[i:end]) {
				return
			}
			i = next(array, end)
		}
	}
}

// empty reports whether a field is absent or an empty list.
func empty(array []byte) bool {
	return array == nil || array[0] == '[' && array[space(array, 1)] == ']'
}

// next returns the offset of the next item of an object or array, or of the closing bracket.
func next(data []byte, i int) int {
	i = space(data, i)
	if data[i] == ',' {
		i = space(data, i+1)
	}
	return i
}

// space returns the offset of the first character at or after i that is no white space.
func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\r' || data[i] == '\n') {
		i++
	}
	return i
}

// valueEnd returns the end of the valid JSON value at i.
func valueEnd(data []byte, i int) int {
	for depth := 0; i < len(data); {
		switch data[i] {
		case '"':
			i = stringEnd(data, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		default:
			i++
			for depth == 0 && i < len(data) && !strings.ContainsRune(",}] \t\r\n", rune(data[i])) {
				i++ // the rest of a number or literal
			}
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

// stringEnd returns the end of the quoted string at i.
func stringEnd(data []byte, i int) int {
	for i++; data[i] != '"'; i++ {
		if data[i] == '\\' {
			i++
		}
	}
	return i + 1
}
