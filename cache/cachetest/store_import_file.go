package cachetest

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

var storeImportFileTests = []storeCase{
	{"Import", func(s *storeTest) {
		for content, mode := range map[string]os.FileMode{"": 0o644, "readable": 0o400, "writable": 0o666, "executable": 0o755} {
			path := s.writeFile(content, mode)
			for _, a := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
				for range 2 {
					_, err := s.ImportFile(s.ctx, a.FromString(content), path)
					s.must(err)
					s.wantContent(a.FromString(content), content)
				}
			}
			s.wantUnchanged(path, content, mode)
			s.must(os.Remove(path))
			s.wantContent(digest.FromString(content), content)
			s.wantBlob(repoA, content, false)
		}
	}},
	{"StoredBlob", func(s *storeTest) {
		s.push(repoA, "a blob")
		path := s.writeFile("a blob", 0o644)
		linked, err := s.ImportFile(s.ctx, digest.FromString("a blob"), path)
		if err != nil || linked {
			s.t.Errorf("linked is %t, %v; the blob was stored as another file", linked, err)
		}
		s.wantUnchanged(path, "a blob", 0o644)
		s.wantBlob(repoA, "a blob", true)
	}},
	{"WrongDigest", func(s *storeTest) {
		for _, mode := range []os.FileMode{0o644, 0o666} {
			path := s.writeFile("wrong", mode)
			for _, d := range []digest.Digest{digest.FromString("right"), digest.SHA512.FromString("right")} {
				s.wantCode(errOf(s.ImportFile(s.ctx, d, path)), mirror.CodeDigestInvalid)
				s.wantNoContent(d)
			}
			s.wantNoContent(digest.FromString("wrong"))
			s.wantCode(errOf(s.ImportFile(s.ctx, "sha256:nonsense", path)), mirror.CodeDigestInvalid)
			s.wantUnchanged(path, "wrong", mode)
		}
	}},
	{"NoRegularFile", func(s *storeTest) {
		content := "somewhere else"
		d, path := digest.FromString(content), s.writeFile(content, 0o644)
		link := filepath.Join(s.t.TempDir(), "link")
		s.must(os.Symlink(path, link))
		for _, path := range []string{link, filepath.Dir(path), os.DevNull} {
			s.wantCode(errOf(s.ImportFile(s.ctx, d, path)), mirror.CodeUnsupported)
		}
		if _, err := s.ImportFile(s.ctx, d, path+"not there"); mirror.CodeOf(err) != mirror.CodeUnknown {
			s.t.Errorf("a file that does not exist: %v", err)
		}
		s.wantNoContent(d)
		s.wantUnchanged(path, content, 0o644)
		if info, err := os.Lstat(link); err != nil || info.Mode().Type() != fs.ModeSymlink {
			s.t.Errorf("the link is %v, %v", info, err)
		}
	}},
}

// writeFile writes a file outside the store and returns its path.
func (s *storeTest) writeFile(content string, mode os.FileMode) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "file")
	s.must(os.WriteFile(path, []byte(content), 0o600))
	s.must(os.Chmod(path, mode))
	return path
}

// wantUnchanged checks the content and the mode of a file.
func (s *storeTest) wantUnchanged(path, content string, mode os.FileMode) {
	s.t.Helper()
	data, err := os.ReadFile(path)
	s.must(err)
	info, err := os.Lstat(path)
	if err != nil || string(data) != content || info.Mode() != mode {
		s.t.Errorf("the file is %q with mode %v, %v; want %q with mode %v", data, info.Mode(), err, content, mode)
	}
}
