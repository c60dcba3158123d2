package storetest

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/segue-serving/segue/deploy/parts"
)

// Registry is a running OCI registry, without TLS.
type Registry struct {
	// Addr is its host:port.
	Addr string
	// User and Password are its only login, empty where it asks for none.
	User, Password string
}

// The login of a registry, and bcrypt's hash of its password at the lowest cost.
const (
	registryUser     = "segue"
	registryPassword = "correct horse"
	registryHash     = "$2a$04$A4iY4VxV69ORJMeYJZ1SpeDueHzwuDhxQFlJCR8IsgeRjTRfKwF0y"
)

// StartRegistry runs a registry until the test ends, with a login or open.
func StartRegistry(t testing.TB, login bool) *Registry {
	t.Helper()
	binary := parts.At(t, "REGISTRY_BINARY", "bin/registry-3.1.2")
	dir := t.TempDir()
	r := &Registry{Addr: "127.0.0.1:" + freePorts(t, 1)[0]}
	auth, status := "", 200
	if login {
		r.User, r.Password = registryUser, registryPassword
		passwords := filepath.Join(dir, "htpasswd")
		write(t, passwords, registryUser+":"+registryHash+"\n")
		auth, status = fmt.Sprintf("auth: {htpasswd: {realm: segue, path: %q}}\n", passwords), 401
	}
	config := filepath.Join(dir, "config.yml")
	write(t, config, fmt.Sprintf("version: 0.1\nlog: {level: warn, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q}\n%s",
		filepath.Join(dir, "data"), r.Addr, auth))
	serve(t, func() bool { return answers("http://"+r.Addr+"/v2/", status) }, binary, "serve", config)
	return r
}

// DockerConfig writes the login as `docker login` does and returns the folder,
// for DOCKER_CONFIG.
func (r *Registry) DockerConfig(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	token := base64.StdEncoding.EncodeToString([]byte(r.User + ":" + r.Password))
	write(t, filepath.Join(dir, "config.json"), fmt.Sprintf(`{"auths": {%q: {"auth": %q}}}`, r.Addr, token))
	return dir
}
