// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {ERC20} from '@openzeppelin/contracts/token/ERC20/ERC20.sol';
import {ERC20Permit} from '@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol';
import {ERC20Votes} from '@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol';
import {Nonces} from '@openzeppelin/contracts/utils/Nonces.sol';

/// @title The pay token of a practice network, and the token that votes.
/// @notice Fixed supply, minted once to `treasury`. A production network may pay in any other ERC-20.
contract HearthToken is ERC20, ERC20Permit, ERC20Votes {
  constructor(address treasury, uint256 supply) ERC20('Hearth', 'HEARTH') ERC20Permit('Hearth') {
    _mint(treasury, supply);
  }

  /// @dev Votes count by time, not by block: blocks of a practice chain come only with transactions.
  function clock() public view override returns (uint48) {
    return uint48(block.timestamp);
  }

  /// @dev ERC-6372.
  // solhint-disable-next-line func-name-mixedcase
  function CLOCK_MODE() public pure override returns (string memory) {
    return 'mode=timestamp';
  }

  function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
    return super.nonces(owner);
  }

  function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Votes) {
    super._update(from, to, value);
  }
}
