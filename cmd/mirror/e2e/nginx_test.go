//go:build e2e

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// startNginx starts an nginx that terminates TLS in front of an address, and returns the address that it listens on.
// The directives are those of its location block beside proxy_pass.
func startNginx(t *testing.T, behind, directives string) string {
	t.Helper()
	need(t, "nginx")
	dir, addr := tempDir(t), freeAddr(t)
	cert, key := selfSigned(t, dir)
	scratch := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		scratch += fmt.Sprintf("    %s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	config := writeFile(t, dir, "nginx.conf", fmt.Sprintf(`daemon off;
pid %[1]s/nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
%[2]s    server {
        listen %[3]s ssl;
        ssl_certificate %[4]s;
        ssl_certificate_key %[5]s;
        client_max_body_size 0;
        location / {
            proxy_pass http://%[6]s;
            %[7]s
        }
    }
}
`, dir, scratch, addr, cert, key, behind, directives))
	// The workers run as the user that started it, root or not: the folder is that user's.
	argv := []string{"nginx", "-e", "stderr", "-c", config, "-g", "user " + userName(t) + ";"}
	p := start(t, environment(t), argv...)
	p.waitUntil(t, func() error {
		connection, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		return connection.Close()
	})
	return addr
}

// selfSigned writes a certificate for loopback, and its key.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return writeFile(t, dir, "tls.crt", encode("CERTIFICATE", signed)),
		writeFile(t, dir, "tls.key", encode("PRIVATE KEY", private))
}

// TestPushAndPullThroughNginx: uploads follow the Location headers that the mirror gives, so these must lead back to
// nginx, by https, whether or not nginx says that it is there.
func TestPushAndPullThroughNginx(t *testing.T) {
	for name, directives := range map[string]string{
		"proxy_pass alone": "",
		"forwarded headers": `proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_request_buffering off;
            proxy_http_version 1.1;`,
	} {
		t.Run(name, func(t *testing.T) {
			mirror := startMirror(t, "--offline")
			front := startNginx(t, mirror.addr, directives)
			digest := push(t, helloIndex(t, ociFormat, "hello over TLS"), mirror.addr+"/team/hello:1").String()

			dir := filepath.Join(tempDir(t), "layout")
			copyIntact(t, "docker://"+front+"/team/hello:1", "oci:"+dir+":1")
			// nginx is on this machine, whoever is behind it is not: to let everybody push takes a setting.
			refuses(t, environment(t), "passed on by a proxy", "skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false",
				"oci:"+dir+":1", "docker://"+front+"/by/skopeo:1")
			mirror.stopCleanly(t)
			startMirrorWith(t, environment(t, "MIRROR_AUTH_ANONYMOUS_PUSH=true"), mirror.addr, mirror.data, "--offline")
			copyIntact(t, "oci:"+dir+":1", "docker://"+front+"/by/skopeo:1")
			wantWhole(t, front+"/by/skopeo:1", digest)

			crane(t, "push", "--index", dir, front+"/by/crane:1")
			wantWhole(t, front+"/by/crane:1", crane(t, "digest", mirror.addr+"/by/crane:1"))
		})
	}
}
