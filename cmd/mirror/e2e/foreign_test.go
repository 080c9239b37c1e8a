//go:build e2e

package e2e_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// foreign is what a tool wrote of the image that it knows as hello, and how it is imported.
type foreign struct {
	write []string // a command, with %s for the file or folder to write
	shell string   // or one whose output is imported as a stream, before " | mirror sync --bundle -"
	tag   string   // for --tag, if it has no name
	comes string   // the name that it has inside then, without the registry
}

// TestOthersBundlesComeIn imports archives of other tools. The image that comes back is the same, and runs.
func TestOthersBundlesComeIn(t *testing.T) {
	need(t, "zstd", "skopeo", "podman")
	const hello = "docker.io/library/airmirror-hello:1"
	source := startMirror(t, "--offline")
	push(t, helloIndex(t, ociFormat, "hello"), source.addr+"/library/airmirror-hello:1")
	config := configOf(t, source.addr+"/library/airmirror-hello:1")
	docker, containerd, podman := startDocker(t, source.addr), startContainerd(t, source.addr), newPodman(t, source.addr)
	docker.do(t, "pull", "airmirror-hello:1")
	docker.do(t, "tag", "airmirror-hello:1", "airmirror-hello:one")
	id := strings.TrimSpace(docker.do(t, "image", "inspect", "--format", "{{.Id}}", "airmirror-hello:1"))
	containerd.pull(t, hello)
	podman.do(t, "pull", hello)

	const named, other = "library/airmirror-hello:1", "team/app:1"
	from := "docker://" + source.addr + "/library/airmirror-hello:1"
	save := []string{dockerClient(), "save", "airmirror-hello:1", "-o", "%s"}
	for name, f := range map[string]foreign{
		"docker save":                   {write: save, comes: named},
		"docker save, several names":    {write: []string{dockerClient(), "save", "airmirror-hello", "-o", "%s"}, comes: "library/airmirror-hello:one"},
		"docker save, as another":       {write: save, tag: other, comes: other},
		"docker save, piped":            {shell: dockerClient() + " save airmirror-hello:1", comes: named},
		"docker save, without a name":   {shell: dockerClient() + " save " + id, tag: other, comes: other},
		"docker save, gzip":             {shell: dockerClient() + " save airmirror-hello:1 | gzip", comes: named},
		"docker save, zstd":             {shell: dockerClient() + " save airmirror-hello:1 | zstd", comes: named},
		"podman save":                   {write: []string{"podman", "save", "-o", "%s", hello}, comes: named},
		"podman save, OCI":              {write: []string{"podman", "save", "--format", "oci-archive", "-o", "%s", hello}, comes: named},
		"podman save, OCI folder":       {write: []string{"podman", "save", "--format", "oci-dir", "-o", "%s", hello}, comes: named},
		"skopeo docker-archive":         {write: skopeoCopy(from, "docker-archive:%s:"+hello), comes: named},
		"skopeo oci-archive":            {write: skopeoCopy(from, "oci-archive:%s:"+hello), comes: named},
		"skopeo oci-archive, all of it": {write: append(skopeoCopy(from, "oci-archive:%s"), "--all"), tag: other, comes: other},
		"skopeo oci, by tag":            {write: skopeoCopy(from, "oci:%s:1"), tag: "team/app", comes: other},
		"skopeo oci, without a name":    {write: skopeoCopy(from, "oci:%s"), tag: other, comes: other},
		"ctr images export": {
			write: []string{"ctr", "--address", containerd.address, "images", "export", "%s", hello}, comes: named,
		},
	} {
		t.Run(name, func(t *testing.T) {
			mirror := startMirror(t, "--offline")
			env := append(docker.env, podman.env...)
			var tag []string
			if f.tag != "" {
				tag = []string{"--tag", f.tag}
			}
			if f.shell != "" {
				sync := fmt.Sprintf("%s | %s sync --data %s --bundle - %s", f.shell, mirrorBin, mirror.data, strings.Join(tag, " "))
				run(t, env, "bash", "-o", "pipefail", "-c", sync)
			} else {
				file := filepath.Join(tempDir(t), "archive.tar")
				run(t, env, expanded(f.write, file)...)
				mirror.ask(t, "sync", append([]string{"--bundle", file}, tag...)...)
			}
			if got := configOf(t, mirror.addr+"/"+f.comes); got != config {
				t.Errorf("what came back has the config %s, want %s", got, config)
			}
			skopeo(t, "copy", "--src-tls-verify=false", "docker://"+mirror.addr+"/"+f.comes, "dir:"+tempDir(t)) // reads and verifies all of it

			docker.do(t, "pull", mirror.addr+"/"+f.comes)
			docker.prints(t, mirror.addr+"/"+f.comes, "hello")
		})
	}
}

func skopeoCopy(from, to string) []string {
	return []string{"skopeo", "--insecure-policy", "copy", "--src-tls-verify=false", from, to}
}

// expanded is a command with the file in its place.
func expanded(argv []string, file string) []string {
	var all []string
	for _, arg := range argv {
		all = append(all, strings.ReplaceAll(arg, "%s", file))
	}
	return all
}
