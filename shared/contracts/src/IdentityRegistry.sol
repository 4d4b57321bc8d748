// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC721} from '@openzeppelin/contracts/token/ERC721/ERC721.sol';
import {ERC721URIStorage} from '@openzeppelin/contracts/token/ERC721/extensions/ERC721URIStorage.sol';
import {ECDSA} from '@openzeppelin/contracts/utils/cryptography/ECDSA.sol';
import {EIP712} from '@openzeppelin/contracts/utils/cryptography/EIP712.sol';
import {SignatureChecker} from '@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol';

/// @title Agents, to the ERC-8004 Identity interface, each bound to at most one libp2p peer id.
/// @notice The binding is proved: the peer's secp256k1 key signs (peer id, owner, nonce, deadline) for this contract
/// on this chain. Whoever holds the peer key decides which agent speaks for it; a newer proof moves the binding.
/// A transfer or retirement of the agent ends both its binding and its pay wallet.
contract IdentityRegistry is ERC721URIStorage, EIP712 {
  struct MetadataEntry {
    string metadataKey;
    bytes metadataValue;
  }

  /// @dev Uncompressed public key (x, y) and an ERC-2098 signature (r, vs).
  struct PeerProof {
    bytes32 x;
    bytes32 y;
    uint256 deadline;
    bytes32 r;
    bytes32 vs;
  }

  struct PeerKey {
    bytes32 x;
    /// 0x02 or 0x03 as in the compressed form; 0 where no peer is bound.
    bytes1 prefix;
  }

  bytes32 public constant PEER_BINDING_TYPEHASH = keccak256(
    'PeerBinding(bytes32 peerIdHash,address owner,uint256 nonce,uint256 deadline)'
  );
  bytes32 public constant AGENT_WALLET_TYPEHASH = keccak256(
    'AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)'
  );
  uint256 public constant MAX_PROOF_AGE = 1 hours;
  uint256 public constant MAX_WALLET_PROOF_AGE = 5 minutes;

  string private constant WALLET_KEY = 'agentWallet';
  string private constant PEER_KEY = 'peerId';
  bytes32 private constant WALLET_KEY_HASH = keccak256('agentWallet');
  bytes32 private constant PEER_KEY_HASH = keccak256('peerId');

  /// @dev Identity multihash (0x00, 37 bytes) of libp2p's PublicKey message: type 2 (secp256k1), 33 bytes of key.
  bytes6 private constant PEER_ID_PREFIX = 0x002508021221;

  uint256 private _lastId;
  mapping(uint256 agentId => mapping(string key => bytes)) private _metadata;
  mapping(uint256 agentId => address) private _wallets;
  mapping(uint256 agentId => PeerKey) private _peers;
  mapping(bytes32 peerIdHash => uint256 agentId) private _agentOfPeer;
  mapping(bytes32 peerIdHash => uint256) private _peerNonces;

  event Registered(uint256 indexed agentId, string agentURI, address indexed owner);
  event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy);
  event MetadataSet(
    uint256 indexed agentId,
    string indexed indexedMetadataKey,
    string metadataKey,
    bytes metadataValue
  );
  event PeerBound(uint256 indexed agentId, bytes32 indexed peerIdHash, bytes peerId);
  event PeerReleased(uint256 indexed agentId, bytes32 indexed peerIdHash);

  error ReservedKey(string key);
  error ProofExpired(uint256 deadline);
  error ProofForged();

  constructor() ERC721('AgentIdentity', 'AGENT') EIP712('ERC8004IdentityRegistry', '1') {}

  // ---------------------------------------------------------------- ERC-8004

  function register() external returns (uint256 agentId) {
    return _register('');
  }

  function register(string calldata agentURI) external returns (uint256 agentId) {
    return _register(agentURI);
  }

  function register(string calldata agentURI, MetadataEntry[] calldata metadata) external returns (uint256 agentId) {
    agentId = _register(agentURI);
    for (uint256 i = 0; i < metadata.length; ++i) {
      _setMetadata(agentId, metadata[i].metadataKey, metadata[i].metadataValue);
    }
  }

  function setAgentURI(uint256 agentId, string calldata newURI) external {
    _requireOperator(agentId);
    _setTokenURI(agentId, newURI);
    emit URIUpdated(agentId, newURI, msg.sender);
  }

  function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external {
    _requireOperator(agentId);
    _setMetadata(agentId, metadataKey, metadataValue);
  }

  /// @notice The reserved keys "agentWallet" and "peerId" answer with the proved values.
  function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory) {
    bytes32 keyHash = keccak256(bytes(metadataKey));
    if (keyHash == WALLET_KEY_HASH) {
      address wallet = _wallets[agentId];
      return wallet == address(0) ? bytes('') : abi.encodePacked(wallet);
    }
    if (keyHash == PEER_KEY_HASH) return _peerIdOf(agentId);
    return _metadata[agentId][metadataKey];
  }

  /// @notice Where the agent's pay goes: the registering owner's address at first, none after a transfer.
  function getAgentWallet(uint256 agentId) external view returns (address) {
    _requireOwned(agentId);
    return _wallets[agentId];
  }

  /// @notice Sets another pay wallet, which agrees by its own signature (a key, or ERC-1271).
  function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature) external {
    address owner = _requireOperator(agentId);
    _requireFresh(deadline, MAX_WALLET_PROOF_AGE);
    bytes32 digest = _hashTypedDataV4(
      keccak256(abi.encode(AGENT_WALLET_TYPEHASH, agentId, newWallet, owner, deadline))
    );
    if (newWallet == address(0) || !SignatureChecker.isValidSignatureNow(newWallet, digest, signature)) {
      revert ProofForged();
    }
    _setWallet(agentId, newWallet);
  }

  function unsetAgentWallet(uint256 agentId) external {
    _requireOperator(agentId);
    _setWallet(agentId, address(0));
  }

  function getVersion() external pure returns (string memory) {
    return 'hearth-1';
  }

  // ---------------------------------------------------------------- peer binding

  /// @notice Registers an agent and binds it to a peer in one transaction.
  function registerPeer(string calldata agentURI, PeerProof calldata proof) external returns (uint256 agentId) {
    agentId = _register(agentURI);
    _bind(agentId, msg.sender, proof);
  }

  /// @notice Binds (or rebinds) an existing agent. The proof must name the agent's owner.
  function bindPeer(uint256 agentId, PeerProof calldata proof) external {
    _bind(agentId, _requireOperator(agentId), proof);
  }

  function releasePeer(uint256 agentId) external {
    _requireOperator(agentId);
    _release(agentId);
  }

  /// @notice Ends an agent for good: its peer id and wallet are free, its id is never used again.
  function retire(uint256 agentId) external {
    _requireOperator(agentId);
    _burn(agentId);
  }

  /// @return agentId 0 where no agent is bound to the peer (ids start at 1).
  function agentOfPeer(bytes32 peerIdHash) external view returns (uint256 agentId) {
    return _agentOfPeer[peerIdHash];
  }

  /// @notice The peer id's bytes (identity multihash, 39 bytes); empty where none is bound.
  function peerOf(uint256 agentId) external view returns (bytes memory) {
    return _peerIdOf(agentId);
  }

  /// @notice Number that the next proof for this peer must carry. Each proof works once.
  function peerNonce(bytes32 peerIdHash) external view returns (uint256) {
    return _peerNonces[peerIdHash];
  }

  function peerBindingDigest(
    bytes32 peerIdHash,
    address owner,
    uint256 nonce,
    uint256 deadline
  ) public view returns (bytes32) {
    return _hashTypedDataV4(keccak256(abi.encode(PEER_BINDING_TYPEHASH, peerIdHash, owner, nonce, deadline)));
  }

  // ---------------------------------------------------------------- inside

  function _register(string memory agentURI) private returns (uint256 agentId) {
    agentId = ++_lastId;
    // Not _safeMint: a callback into the caller in the middle of a registration helps nobody but an attacker.
    _mint(msg.sender, agentId);
    if (bytes(agentURI).length != 0) _setTokenURI(agentId, agentURI);
    emit Registered(agentId, agentURI, msg.sender);
    _setWallet(agentId, msg.sender);
  }

  function _setMetadata(uint256 agentId, string calldata key, bytes calldata value) private {
    bytes32 keyHash = keccak256(bytes(key));
    if (keyHash == WALLET_KEY_HASH || keyHash == PEER_KEY_HASH) revert ReservedKey(key);
    _metadata[agentId][key] = value;
    emit MetadataSet(agentId, key, key, value);
  }

  function _setWallet(uint256 agentId, address wallet) private {
    _wallets[agentId] = wallet;
    emit MetadataSet(agentId, WALLET_KEY, WALLET_KEY, wallet == address(0) ? bytes('') : abi.encodePacked(wallet));
  }

  function _bind(uint256 agentId, address owner, PeerProof calldata proof) private {
    _requireFresh(proof.deadline, MAX_PROOF_AGE);
    bytes1 prefix = uint256(proof.y) & 1 == 0 ? bytes1(0x02) : bytes1(0x03);
    bytes memory peerId = abi.encodePacked(PEER_ID_PREFIX, prefix, proof.x);
    bytes32 peerIdHash = keccak256(peerId);
    (address recovered, , ) = ECDSA.tryRecover(
      peerBindingDigest(peerIdHash, owner, _peerNonces[peerIdHash]++, proof.deadline),
      proof.r,
      proof.vs
    );
    // Equality with the key's address also shows that (x, y) lies on the curve: recovery answers only such keys.
    if (recovered == address(0) || recovered != address(uint160(uint256(keccak256(abi.encode(proof.x, proof.y)))))) {
      revert ProofForged();
    }
    uint256 previousAgent = _agentOfPeer[peerIdHash];
    if (previousAgent != 0) _release(previousAgent);
    _release(agentId);
    _peers[agentId] = PeerKey(proof.x, prefix);
    _agentOfPeer[peerIdHash] = agentId;
    emit PeerBound(agentId, peerIdHash, peerId);
    emit MetadataSet(agentId, PEER_KEY, PEER_KEY, peerId);
  }

  function _release(uint256 agentId) private {
    bytes memory peerId = _peerIdOf(agentId);
    if (peerId.length == 0) return;
    bytes32 peerIdHash = keccak256(peerId);
    delete _peers[agentId];
    delete _agentOfPeer[peerIdHash];
    emit PeerReleased(agentId, peerIdHash);
    emit MetadataSet(agentId, PEER_KEY, PEER_KEY, '');
  }

  function _peerIdOf(uint256 agentId) private view returns (bytes memory) {
    PeerKey storage key = _peers[agentId];
    if (key.prefix == 0) return '';
    return abi.encodePacked(PEER_ID_PREFIX, key.prefix, key.x);
  }

  function _requireOperator(uint256 agentId) private view returns (address owner) {
    owner = _requireOwned(agentId);
    _checkAuthorized(owner, msg.sender, agentId);
  }

  function _requireFresh(uint256 deadline, uint256 maxAge) private view {
    if (block.timestamp > deadline || deadline > block.timestamp + maxAge) revert ProofExpired(deadline);
  }

  function _update(address to, uint256 agentId, address auth) internal override returns (address from) {
    from = super._update(to, agentId, auth);
    if (from != address(0)) {
      _release(agentId);
      _setWallet(agentId, address(0));
    }
  }
}
