//go:build e2e

package e2e_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestUserDataOfNodes: what deploy/docs/clients.md makes for cloud-init has every file, as it is to be.
func TestUserDataOfNodes(t *testing.T) {
	need(t, "bash", "jq")
	page, err := os.ReadFile("../../../deploy/docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile("(?s)```sh\n(mirror client kubernetes [^`]* > user-data\n)```").FindSubmatch(page)
	if command == nil {
		t.Fatal("deploy/docs/clients.md makes no user-data")
	}
	dir := tempDir(t)
	env := environment(t, "PATH="+filepath.Dir(mirrorBin)+":"+os.Getenv("PATH"), "MIRROR_DATA="+filepath.Join(dir, "data"))
	run(t, env, "bash", "-euo", "pipefail", "-c", "cd "+dir+"; mirror cert --host reg.example; "+string(command[1]))
	made, err := os.ReadFile(filepath.Join(dir, "user-data"))
	if err != nil {
		t.Fatal(err)
	}
	authority, err := os.ReadFile(filepath.Join(dir, "certs", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	var userData struct {
		Files []struct{ Path, Content string } `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(made, &userData); err != nil || !strings.HasPrefix(string(made), "#cloud-config\n") {
		t.Fatalf("%v in\n%s", err, made)
	}
	files := map[string]string{}
	for _, f := range userData.Files {
		files[f.Path] = f.Content
	}
	if got := files["/etc/containerd/certs.d/reg.example:5000/ca.crt"]; got != string(authority) {
		t.Errorf("the authority is %q", got)
	}
	if got := files["/etc/containerd/certs.d/docker.io/hosts.toml"]; !strings.Contains(got, `[host."https://reg.example:5000"]`) {
		t.Errorf("the file for docker.io is %q", got)
	}
}
