package registry_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/api/registry"
	"airmirror/mirror"
)

func TestBlobUploadMethods(t *testing.T) {
	s := start(t, registry.Options{})
	for name, push := range map[string]func(content []byte, d digest.Digest) answer{
		"streamed, then closed": func(content []byte, d digest.Digest) answer {
			a := s.do(202, "POST", "/v2/app/blobs/uploads/", nil)
			s.header(a, "Range", "0-0")
			a = s.do(202, "PATCH", s.at(a), io.MultiReader(bytes.NewReader(content))) // no Content-Length
			s.header(a, "Range", fmt.Sprintf("0-%d", len(content)-1))
			return s.do(201, "PUT", s.with(a, "digest="+d.String()), nil)
		},
		"in chunks": func(content []byte, d digest.Digest) answer {
			a := s.do(202, "POST", "/v2/app/blobs/uploads/", nil, "Content-Length", "0")
			half := len(content) / 2
			a = s.do(202, "PATCH", s.at(a), bytes.NewReader(content[:half]), "Content-Range", fmt.Sprintf("0-%d", half-1))
			a = s.do(204, "GET", s.at(a), nil)
			s.header(a, "Range", fmt.Sprintf("0-%d", half-1))
			return s.do(201, "PUT", s.with(a, "digest="+d.String()), bytes.NewReader(content[half:]),
				"Content-Range", fmt.Sprintf("%d-%d", half, len(content)-1))
		},
		"POST then PUT": func(content []byte, d digest.Digest) answer {
			a := s.do(202, "POST", "/v2/app/blobs/uploads/", nil)
			return s.do(201, "PUT", s.with(a, "digest="+d.String()), bytes.NewReader(content))
		},
		"one POST": func(content []byte, d digest.Digest) answer {
			return s.do(201, "POST", "/v2/app/blobs/uploads/?digest="+d.String(), bytes.NewReader(content))
		},
	} {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			t.Run(name+" "+algorithm.String(), func(t *testing.T) {
				content := make([]byte, 100_000)
				rand.Read(content)
				d := algorithm.FromBytes(content)
				a := push(content, d)
				s.header(a, "Docker-Content-Digest", d.String())
				s.header(a, "Location", "/v2/app/blobs/"+d.String())
				a = s.do(200, "GET", s.at(a), nil)
				s.header(a, "Docker-Content-Digest", d.String())
				if !bytes.Equal(a.body, content) {
					t.Error("the blob came back changed")
				}
				s.header(s.do(200, "HEAD", "/v2/app/blobs/"+d.String(), nil), "Content-Length", "100000")
			})
		}
	}
}

func TestEmptyBlob(t *testing.T) {
	s := start(t, registry.Options{})
	d := digest.FromString("")
	a := s.do(202, "POST", "/v2/app/blobs/uploads/", nil)
	s.do(201, "PUT", s.with(a, "digest="+d.String()), nil)
	if a := s.do(200, "GET", "/v2/app/blobs/"+d.String(), nil); len(a.body) != 0 || a.ContentLength != 0 {
		t.Errorf("got %q", a.body)
	}
	s.do(201, "POST", "/v2/other/blobs/uploads/?digest="+d.String(), nil)
}

func TestUploadContinuesAfterRestart(t *testing.T) {
	s := start(t, registry.Options{})
	content := bytes.Repeat([]byte("0123456789"), 10_000)
	a := s.do(202, "POST", "/v2/app/blobs/uploads/?digest-algorithm=sha512", nil)
	path := a.Header.Get("Location")
	s.do(202, "PATCH", path, bytes.NewReader(content[:60_000]), "Content-Range", "0-59999")
	s.stop()
	s.run(registry.Options{})
	s.header(s.do(204, "GET", path, nil), "Range", "0-59999")
	s.do(202, "PATCH", path, bytes.NewReader(content[60_000:]))
	d := digest.SHA512.FromBytes(content)
	s.do(201, "PUT", path+"?digest="+d.String(), nil)
	if a := s.do(200, "GET", "/v2/app/blobs/"+d.String(), nil); !bytes.Equal(a.body, content) {
		t.Error("the blob came back changed")
	}
}

func TestUploadRefusals(t *testing.T) {
	s := start(t, registry.Options{})
	begin := func() string {
		a := s.do(202, "POST", "/v2/app/blobs/uploads/", nil)
		return a.Header.Get("Location")
	}
	d := digest.FromString("content")
	text := func() io.Reader { return strings.NewReader("content") }

	t.Run("wrong digest", func(t *testing.T) {
		at := begin()
		s.refused(400, mirror.CodeDigestInvalid, "PUT", at+"?digest="+digest.FromString("other").String(), text())
		s.refused(404, mirror.CodeBlobUploadUnknown, "GET", at, nil)
		s.refused(400, mirror.CodeDigestInvalid, "POST", "/v2/app/blobs/uploads/?digest="+digest.FromString("other").String(), text())
		s.refused(404, mirror.CodeBlobUnknown, "GET", "/v2/app/blobs/"+d.String(), nil)
	})
	t.Run("no digest", func(t *testing.T) {
		s.refused(400, mirror.CodeDigestInvalid, "PUT", begin(), text())
	})
	t.Run("unknown algorithm", func(t *testing.T) {
		s.refused(400, mirror.CodeDigestInvalid, "PUT", begin()+"?digest=md5:d41d8cd98f00b204e9800998ecf8427e", text())
		s.refused(400, mirror.CodeDigestInvalid, "POST", "/v2/app/blobs/uploads/?digest-algorithm=md5", nil)
	})
	t.Run("out of order", func(t *testing.T) {
		at := begin()
		a := s.refused(416, mirror.CodeRangeInvalid, "PATCH", at, text(), "Content-Range", "7-13")
		s.header(a, "Location", at)
		s.do(202, "PATCH", at, text(), "Content-Range", "0-6")
		a = s.refused(416, mirror.CodeRangeInvalid, "PATCH", at, text(), "Content-Range", "0-6")
		s.header(a, "Range", "0-6")
		s.refused(416, mirror.CodeRangeInvalid, "PUT", at+"?digest="+d.String(), text(), "Content-Range", "0-6")
		s.do(201, "PUT", at+"?digest="+d.String(), nil)
	})
	t.Run("length is not the range's", func(t *testing.T) {
		at := begin()
		s.refused(400, mirror.CodeSizeInvalid, "PATCH", at, text(), "Content-Range", "0-99")
		s.header(s.do(204, "GET", at, nil), "Range", "0-0")
	})
	t.Run("more than the range", func(t *testing.T) {
		at := begin()
		a := s.refused(400, mirror.CodeSizeInvalid, "PATCH", at, io.MultiReader(text()), "Content-Range", "0-4") // no Content-Length
		s.header(a, "Range", "0-4")
		s.header(s.do(204, "GET", at, nil), "Range", "0-4")
		s.refused(400, mirror.CodeSizeInvalid, "PATCH", at, io.MultiReader(text()), "Content-Range", "5-99")
		s.do(202, "PATCH", begin(), io.MultiReader(text()), "Content-Range", "0-6")
		s.refused(400, mirror.CodeSizeInvalid, "PUT", begin()+"?digest="+d.String(), io.MultiReader(text()), "Content-Range", "0-4")
	})
	t.Run("malformed range", func(t *testing.T) {
		for _, r := range []string{"x", "0", "5-1", "-5", "0-99999999999999999999", "0-9223372036854775807", "+0-+6", "0-+6", "0--6", "0-6-7", "-"} {
			s.refused(416, mirror.CodeRangeInvalid, "PATCH", begin(), text(), "Content-Range", r)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		at := begin()
		s.do(204, "DELETE", at, nil)
		s.refused(404, mirror.CodeBlobUploadUnknown, "PATCH", at, text())
		s.refused(404, mirror.CodeBlobUploadUnknown, "DELETE", at, nil)
	})
	t.Run("finished", func(t *testing.T) {
		at := begin()
		s.do(201, "PUT", at+"?digest="+d.String(), text())
		a := s.refused(404, mirror.CodeBlobUploadUnknown, "GET", at, nil)
		if strings.Contains(string(a.body), "incoming") || strings.Contains(string(a.body), "file") {
			t.Errorf("a client has nothing to do with files: %s", a.body)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		s.refused(404, mirror.CodeBlobUploadUnknown, "PATCH", "/v2/app/blobs/uploads/..", text())
		s.refused(404, mirror.CodeBlobUploadUnknown, "PATCH", "/v2/app/blobs/uploads/7c9e6679-7425-40de-944b-e07fc1f90ae7", text())
		s.refused(404, mirror.CodeBlobUploadUnknown, "PATCH", strings.Replace(begin(), "/app/", "/other/", 1), text())
	})
}

func TestMount(t *testing.T) {
	s := start(t, registry.Options{})
	d := s.pushBlob("a/source", []byte("shared")).Digest
	s.refused(404, mirror.CodeBlobUnknown, "GET", "/v2/b/target/blobs/"+d.String(), nil)

	a := s.do(201, "POST", "/v2/b/target/blobs/uploads/?mount="+d.String()+"&from=a/source", nil)
	s.header(a, "Location", "/v2/b/target/blobs/"+d.String())
	s.header(a, "Docker-Content-Digest", d.String())
	s.do(200, "GET", s.at(a), nil)

	s.do(201, "POST", "/v2/c/target/blobs/uploads/?mount="+d.String(), nil)
	s.do(200, "GET", "/v2/c/target/blobs/"+d.String(), nil)

	a = s.do(202, "POST", "/v2/d/target/blobs/uploads/?mount="+d.String()+"&from=no/such", nil)
	s.do(201, "PUT", s.with(a, "digest="+d.String()), strings.NewReader("shared"))
	s.do(202, "POST", "/v2/e/target/blobs/uploads/?mount="+digest.FromString("absent").String(), nil)
}

// TestLocationKeepsNamespace follows a push by its Location headers: they must keep the ns parameter.
func TestLocationKeepsNamespace(t *testing.T) {
	s := start(t, registry.Options{})
	d := digest.FromString("content")
	a := s.do(202, "POST", "/v2/org/app/blobs/uploads/?ns=ghcr.io", nil)
	s.header(a, "OCI-Namespace", "ghcr.io")
	a = s.do(202, "PATCH", s.at(a), strings.NewReader("content"))
	a = s.do(201, "PUT", s.with(a, "digest="+d.String()), nil)
	s.do(200, "GET", s.at(a), nil)
	s.do(200, "GET", "/v2/ghcr.io/org/app/blobs/"+d.String(), nil)
	s.refused(404, mirror.CodeBlobUnknown, "GET", "/v2/org/app/blobs/"+d.String(), nil)
}
