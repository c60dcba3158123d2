package storetest

import (
	"path/filepath"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"github.com/segue-serving/segue/deploy/parts"
)

// Azure is a running Azurite, Microsoft's emulator of its Blob Storage.
type Azure struct {
	// Addr is its host:port.
	Addr string
	// Account and Key are its only account: those that Azurite publishes.
	Account, Key string
}

// StartAzure runs Azurite until the test ends. It needs Node.
func StartAzure(t testing.TB) *Azure {
	t.Helper()
	dir := parts.At(t, "AZURITE_DIR", "azurite-3.35.0")
	port := freePorts(t, 1)[0]
	a := &Azure{
		Addr: "127.0.0.1:" + port, Account: "devstoreaccount1",
		Key: "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
	}
	serve(t, func() bool { return answers("http://"+a.Addr+"/", 400) }, "node",
		filepath.Join(dir, "node_modules/azurite/dist/src/blob/main.js"), "--blobHost", "127.0.0.1", "--blobPort", port,
		"--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent")
	return a
}

// Bucket makes a container of the test's own and returns its reference,
// azblob://NAME.
func (a *Azure) Bucket(t testing.TB) string {
	t.Helper()
	name := bucketName()
	key, err := azblob.NewSharedKeyCredential(a.Account, a.Key)
	if err != nil {
		t.Fatal(err)
	}
	service, err := azblob.NewClientWithSharedKeyCredential("http://"+a.Addr+"/"+a.Account, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.CreateContainer(t.Context(), name, nil); err != nil {
		t.Fatalf("make container %s: %v", name, err)
	}
	return "azblob://" + name
}

// Setenv sets the address and the credentials in the environment of the test.
func (a *Azure) Setenv(t testing.TB) {
	t.Setenv("AZURE_STORAGE_ACCOUNT", a.Account)
	t.Setenv("AZURE_STORAGE_KEY", a.Key)
	t.Setenv("AZURE_STORAGE_DOMAIN", a.Addr)
	t.Setenv("AZURE_STORAGE_PROTOCOL", "http")
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "")
}
