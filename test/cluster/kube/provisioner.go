package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// provisionerName is what the StorageClass names. The controller manager copies it to each claim
// that waits for a volume.
const provisionerName = "indelible.dev/host-path"

const (
	claimProvisioner  = "volume.kubernetes.io/storage-provisioner"
	volumeProvisioner = "pv.kubernetes.io/provisioned-by"
)

// provisioner makes one directory of this machine per claim and removes it with the volume. The
// in-tree host-path provisioner does the same with mode 0750 and no fsGroup, so that a Task that
// does not run as root cannot write.
type provisioner struct {
	client kubernetes.Interface
	root   string
	claims cache.Indexer
	pvs    cache.Indexer
	queue  workqueue.TypedRateLimitingInterface[item]
}

// item is a claim (namespace/name) or a volume (name) that changed.
type item struct {
	claim bool
	key   string
}

func newProvisionerCommand() *cobra.Command {
	var kubeconfig, root string
	command := &cobra.Command{
		Use:   "volume-provisioner",
		Short: "Makes a directory of this machine for each claim of the class " + provisionerName,
		RunE: func(*cobra.Command, []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return runProvisioner(ctx, kubeconfig, root)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	command.Flags().StringVar(&root, "root", "", "the folder that holds the volumes")
	return command
}

func runProvisioner(ctx context.Context, kubeconfig, root string) error {
	if root == "" {
		return errors.New("--root is needed")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	claims := factory.Core().V1().PersistentVolumeClaims().Informer()
	pvs := factory.Core().V1().PersistentVolumes().Informer()
	p := &provisioner{client: client, root: root, claims: claims.GetIndexer(), pvs: pvs.GetIndexer(),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[item]())}
	if _, err := claims.AddEventHandler(p.enqueue(true)); err != nil {
		return err
	}
	if _, err := pvs.AddEventHandler(p.enqueue(false)); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go func() {
		<-ctx.Done()
		p.queue.ShutDown()
	}()
	for p.next(ctx) {
	}
	return nil
}

func (p *provisioner) enqueue(claim bool) cache.ResourceEventHandler {
	add := func(object any) {
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			p.queue.Add(item{claim: claim, key: key})
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, object any) { add(object) }}
}

func (p *provisioner) next(ctx context.Context) bool {
	it, shutdown := p.queue.Get()
	if shutdown {
		return false
	}
	defer p.queue.Done(it)
	sync := p.reclaim
	if it.claim {
		sync = p.provision
	}
	if err := sync(ctx, it.key); err != nil {
		klog.ErrorS(err, "will be tried again", "key", it.key)
		p.queue.AddRateLimited(it)
		return true
	}
	p.queue.Forget(it)
	return true
}

// provision makes the directory and the volume of a claim that has none. Its name comes from the
// claim's UID, so that a crash between the two calls, or a stale cache, ends in the same directory
// and the same volume.
func (p *provisioner) provision(ctx context.Context, key string) error {
	object, exists, err := p.claims.GetByKey(key)
	if err != nil || !exists {
		return err
	}
	claim := object.(*corev1.PersistentVolumeClaim)
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil ||
		claim.Annotations[claimProvisioner] != provisionerName {
		return nil
	}
	volume := volumeFor(claim, p.root)
	path := volume.Spec.HostPath.Path
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	// Every user of a pod may write, whatever its fsGroup; the umask must not take that away.
	if err := os.Chmod(path, 0o777); err != nil { //nolint:gosec // see above
		return err
	}
	_, err = p.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create the volume of %s: %w", key, err)
	}
	return nil
}

func volumeFor(claim *corev1.PersistentVolumeClaim, root string) *corev1.PersistentVolume {
	name := "pvc-" + string(claim.UID)
	kind := corev1.HostPathDirectory
	mode := corev1.PersistentVolumeFilesystem
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{volumeProvisioner: provisionerName}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      claim.Spec.Resources.Requests,
			AccessModes:                   claim.Spec.AccessModes,
			VolumeMode:                    &mode,
			StorageClassName:              *claim.Spec.StorageClassName,
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				HostPath: &corev1.HostPathVolumeSource{Path: filepath.Join(root, name), Type: &kind},
			},
		},
	}
}

// reclaim removes a released volume, directory first: a crash in between leaves a volume that is
// reclaimed again.
func (p *provisioner) reclaim(ctx context.Context, key string) error {
	object, exists, err := p.pvs.GetByKey(key)
	if err != nil || !exists {
		return err
	}
	volume := object.(*corev1.PersistentVolume)
	if volume.Annotations[volumeProvisioner] != provisionerName || volume.Status.Phase != corev1.VolumeReleased ||
		volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete {
		return nil
	}
	if err := os.RemoveAll(filepath.Join(p.root, volume.Name)); err != nil {
		return err
	}
	err = p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}
