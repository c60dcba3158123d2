package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/segue-serving/segue/deploy/parts"
)

// S3 is a running SeaweedFS.
type S3 struct {
	// Endpoint is its URL.
	Endpoint string
	// AccessKey and SecretKey may do everything.
	AccessKey, SecretKey string
}

// StartS3 runs SeaweedFS with its S3 gateway until the test ends.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	weed := parts.At(t, "SEAWEEDFS_BINARY", "bin/weed-4.48")
	ports := freePorts(t, 8)
	s := &S3{Endpoint: "http://127.0.0.1:" + ports[0], AccessKey: "segue-test", SecretKey: "segue-test-secret"}
	dir := t.TempDir()
	identities := filepath.Join(dir, "s3.json")
	write(t, identities, fmt.Sprintf(`{"identities": [{"name": "test", "credentials": [{"accessKey": %q, "secretKey": %q}],
		"actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}`, s.AccessKey, s.SecretKey))
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeSockets(t, ports) }) // after the server's end
	serve(t, s.ready, weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir="+data,
		"-s3", "-s3.port="+ports[0], "-s3.port.grpc="+ports[1], "-s3.config="+identities, "-s3.port.iceberg=0", "-s3.port.lance=0",
		"-master.port="+ports[2], "-master.port.grpc="+ports[3], "-volume.port="+ports[4], "-volume.port.grpc="+ports[5],
		"-filer.port="+ports[6], "-filer.port.grpc="+ports[7], "-master.volumeSizeLimitMB=64", "-volume.max=0", "-master.telemetry=false")
	return s
}

// removeSockets removes what a killed SeaweedFS leaves in the temporary folder.
func removeSockets(t testing.TB, ports []string) {
	for _, port := range ports {
		left, err := filepath.Glob(filepath.Join("/tmp", "seaweedfs-*-"+port+".sock"))
		if err != nil {
			t.Error(err)
		}
		for _, socket := range left {
			if err := os.Remove(socket); err != nil {
				t.Error(err)
			}
		}
	}
}

// ready reports whether buckets can be made, which needs all of its servers.
func (s *S3) ready() bool {
	if !answers(s.Endpoint+"/healthz", 200) {
		return false
	}
	name := aws.String("ready")
	_, err := s.client().CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: name})
	if err != nil && !strings.Contains(err.Error(), "BucketAlready") {
		return false
	}
	_, err = s.client().PutObject(context.Background(), &s3.PutObjectInput{Bucket: name, Key: aws.String("ready"), Body: strings.NewReader("ready")})
	return err == nil
}

func (s *S3) client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &s.Endpoint, Region: "us-east-1", UsePathStyle: true, HTTPClient: client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	})
}

// Bucket makes a bucket of the test's own and returns its reference, s3://NAME,
// and its parameters, ?endpoint=…, which follow the path.
func (s *S3) Bucket(t testing.TB) (reference, parameters string) {
	t.Helper()
	name := bucketName()
	if _, err := s.client().CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("make bucket %s: %v", name, err)
	}
	return "s3://" + name, "?use_path_style=true&endpoint=" + s.Endpoint
}

// Setenv sets the credentials in the environment of the test.
func (s *S3) Setenv(t testing.TB) {
	t.Setenv("AWS_ACCESS_KEY_ID", s.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_PROFILE", "")
	t.Setenv("AWS_ENDPOINT_URL", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// write writes a file of a server's configuration.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bucketName is one that no other test has.
func bucketName() string { return fmt.Sprintf("test-%016x", rand.Uint64()) }
