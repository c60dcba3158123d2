// Package storetest runs real artifact stores for tests, and the suite that
// every remote store must pass: SeaweedFS for s3:, the CNCF's registry for oci:,
// fake-gcs-server for gs: and Azurite for azblob:.
//
// It promises that a store answers when its Start function returns, that its
// address stays the same until the test ends, and that no server outlives the
// test, even one whose process is killed. It never fakes an answer itself.
//
//	s3 := storetest.StartS3(t)
//	s3.Setenv(t)
//	storetest.Suite(t, storetest.Subject{Remote: bucket.S3(hosts), URI: func(t *testing.T) string { return s3.Bucket(t) + "/mozart" }})
//
// The servers are those that `make stores` leaves in the cache, or the ones that
// SEAWEEDFS_BINARY, REGISTRY_BINARY, FAKE_GCS_BINARY and AZURITE_DIR name. A
// test that needs one fails without it; it is never skipped.
package storetest
