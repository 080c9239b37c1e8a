package e2econsole_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

// startNginx starts an nginx that terminates TLS and serves a mirror below /registry/. It returns its address.
func startNginx(t *testing.T, m *mirror) string {
	t.Helper()
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir, address := t.TempDir(), freeAddress(t)
	if out, err := exec.Command(mirrorBin, "cert", "--host", "127.0.0.1", "--dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("make a certificate: %v\n%s", err, out)
	}
	config := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(config, []byte(fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr; user root; master_process off;
events {}
http {
    access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
    server {
        listen %[2]s ssl;
        ssl_certificate %[1]s/server.crt;
        ssl_certificate_key %[1]s/server.key;
        location /registry/ {
            proxy_pass http://%[3]s/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }
}`, dir, address, m.address)), 0o600))
	server := exec.Command(nginx, "-c", config, "-e", "stderr")
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	server.Stderr = os.Stderr
	must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	eventually(t, "nginx answers", func() error {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return address
}

// TestBehindProxy logs in, browses, and deletes an image through nginx with TLS, where the console is below another path.
func TestBehindProxy(t *testing.T) {
	m := startMirror(t, "--offline")
	m.fill()
	root := "https://" + startNginx(t, m) + "/registry/"
	b := startBrowser(t, chromedp.IgnoreCertErrors)
	b.run(chromedp.Navigate(root), chromedp.WaitVisible(chromedp.CSS("h1")))
	b.click(`a[href^="login"]`)
	b.waitFor("#password")
	b.run(chromedp.SendKeys(chromedp.CSS("#name"), m.name), chromedp.SendKeys(chromedp.CSS("#password"), m.password))
	b.click("main form button")
	b.waitFor(".who")
	b.click(`button[name="theme"][value="dark"]`)
	b.waitFor(`html[data-theme="dark"] h1`)
	b.click(`nav a[href="images"]`)
	b.waitFor(`input[name="q"]`)
	b.run(chromedp.SendKeys(chromedp.CSS("#q"), "nginx:1.1\r"))
	b.shows("library/nginx:1.1")
	b.holds(`!document.querySelector("main").innerText.includes("alpine:")`)
	b.click(`input[name="ref"]`)
	b.click(`button[value="delete"]`)
	b.shows("This deletes 1 tag.")
	b.click(`button[value="delete"]`)
	b.shows("1 tag was deleted.")
	if at := eval[string](b, "location.href"); !strings.HasPrefix(at, root+"console/") {
		t.Errorf("the browser is at %s", at)
	}
	if listed := m.command("ls", "-q"); strings.Contains(listed, "nginx:1.1") {
		t.Errorf("after the removal the mirror has %s", listed)
	}
	b.click(`nav a[href="."]`)
	b.waitFor(".figures")
}
