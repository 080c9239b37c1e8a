package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"

	"airmirror/mirror"
)

// blob VARIABLE HOST/NAME:TAG: sets a variable to the path of a layer of the image in a data folder.
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

// writeList FILE LINE...: writes a file with these lines.
func writeList(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(args[1:], "\n")+"\n"), 0o600))
}

// twins VARIABLE HOST/NAME: pushes images with tags 1 and 2 whose digests have the same first six digits, and sets a
// variable to these digits.
func twins(ts *testscript.TestScript, _ bool, args []string) {
	base, err := random.Image(100, 1)
	ts.Check(err)
	seen := make(map[string]v1.Image)
	for n := 0; ; n++ {
		img := mutate.Annotations(base, map[string]string{"n": strconv.Itoa(n)}).(v1.Image)
		digest, err := img.Digest()
		ts.Check(err)
		begin := digest.Hex[:mirror.MinDigits]
		if other := seen[begin]; other != nil {
			for tag, img := range map[string]v1.Image{"1": other, "2": img} {
				ref, err := name.ParseReference(args[1]+":"+tag, name.Insecure)
				ts.Check(err)
				ts.Check(remote.Write(ref, img))
			}
			ts.Setenv(args[0], begin)
			return
		}
		seen[begin] = img
	}
}

// cut VARIABLE: shortens the digest in a variable to twelve digits, as commands print them.
func cut(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.TrimPrefix(ts.Getenv(args[0]), "sha256:")[:12])
}
