//go:build e2e

package e2e_test

import (
	"path/filepath"
	"testing"
)

// TestTodayRegctlAndOras: they copy from the mirror, with and without the upstream, and to it after a login; and they read a
// bundle with the image of one platform, as `mirror export` says of one with an index.
func TestTodayRegctlAndOras(t *testing.T) {
	byScheme(t, func(t *testing.T, tls bool) {
		bin := today(t, false, "regctl", "oras")
		hub := startUpstream(t)
		push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1")
		mirror := startSite(t, tls, mirrorOf(hub))
		env := environment(t)
		from := mirror.addr + "/library/airmirror-hello:1"
		scheme, oras := []string{"--tls", "disabled"}, [2][]string{{"--from-plain-http"}, {"--to-plain-http"}}
		if tls {
			scheme, oras = []string{"--cacert", readFile(t, mirror.ca)}, [2][]string{{"--from-ca-file", mirror.ca}, {"--to-ca-file", mirror.ca}}
		}
		run(t, env, append([]string{bin + "regctl", "registry", "set", mirror.addr}, scheme...)...)
		login := append(oras[1], "--to-username", robot, "--to-password", secret)

		run(t, env, bin+"regctl", "image", "copy", from, "ocidir://"+filepath.Join(tempDir(t), "layout")+":1")
		mirror.ask(t, "mode", "offline")
		hub.stop(t)
		run(t, env, append(append([]string{bin + "oras", "copy", "--recursive"}, oras[0]...), from, "--to-oci-layout", filepath.Join(tempDir(t), "layout")+":1")...)
		refuses(t, env, "", bin+"regctl", "image", "copy", from, mirror.addr+"/by/regctl:1")
		refuses(t, env, "", append(append([]string{bin + "oras", "copy"}, append(oras[0], oras[1]...)...), from, mirror.addr+"/by/oras:1")...)
		run(t, env, bin+"regctl", "registry", "login", mirror.addr, "--user", robot, "--pass", secret, "--skip-check")
		run(t, env, bin+"regctl", "image", "copy", from, mirror.addr+"/by/regctl:1")
		run(t, env, append(append([]string{bin + "oras", "copy"}, append(oras[0], login...)...), from, mirror.addr+"/by/oras:1")...)
		for _, repo := range []string{"by/regctl", "by/oras"} {
			if got, want := run(t, env, bin+"regctl", "manifest", "head", mirror.addr+"/"+repo+":1"), run(t, env, bin+"regctl", "manifest", "head", from); got != want {
				t.Errorf("%s is %s, want %s", repo, got, want)
			}
		}

		disk := tempDir(t)
		flat, sparse := filepath.Join(disk, "flat.tar"), filepath.Join(disk, "sparse.tar")
		mirror.ask(t, "export", "--bundle", flat, "--platform", "linux/amd64", "--flatten", "airmirror-hello:1")
		mirror.ask(t, "export", "--bundle", sparse, "--platform", "linux/amd64", "airmirror-hello:1")
		layout := append([]string{bin + "oras", "copy", "--from-oci-layout-path"}, flat)
		run(t, env, append(append(layout, login...), "docker.io/library/airmirror-hello:1", mirror.addr+"/flat/oras:1")...)
		run(t, env, bin+"regctl", "image", "copy", "ocidir://"+unpacked(t, flat)+":1", mirror.addr+"/flat/regctl:1")
		refuses(t, env, "", bin+"regctl", "image", "copy", "ocidir://"+unpacked(t, sparse)+":1", mirror.addr+"/sparse/regctl:1")
	})
}
