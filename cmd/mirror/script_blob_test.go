package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
)

// blob VARIABLE HOST/NAME:TAG: sets a variable to where the file of a layer of the image is in a data folder.
func blob(ts *testscript.TestScript, _ bool, args []string) {
	ref, err := name.ParseReference(args[1], name.Insecure)
	ts.Check(err)
	img, err := remote.Image(ref)
	ts.Check(err)
	layers, err := img.Layers()
	ts.Check(err)
	digest, err := layers[0].Digest()
	ts.Check(err)
	ts.Setenv(args[0], filepath.Join("blobs", digest.Algorithm, digest.Hex[:2], digest.Hex))
}

// damage FILE: changes a byte of a file.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	content, err := os.ReadFile(path)
	ts.Check(err)
	content[len(content)/2] ^= 1
	ts.Check(os.WriteFile(path, content, 0o600))
}

// setDigest VARIABLE HOST/NAME:TAG: sets a variable to the digest of an image.
func setDigest(ts *testscript.TestScript, _ bool, args []string) {
	ref, err := name.ParseReference(args[1], name.Insecure)
	ts.Check(err)
	desc, err := remote.Head(ref)
	ts.Check(err)
	ts.Setenv(args[0], desc.Digest.String())
}

// writeList FILE LINE...: writes a file of these lines.
func writeList(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(args[1:], "\n")+"\n"), 0o600))
}
